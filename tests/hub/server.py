"""A small hub: it speaks what huggingface_hub asks when it looks, uploads and commits.

Large files go by the LFS protocol. Answers to come can be replaced by faults.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_" + "t" * 34
OWN = ".gitattributes"


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Repo:
    """Branches of a repository: for each one its files, and how often it was committed to."""

    def __init__(self, private):
        self.private = private
        self.branches = {"main": {OWN: b"*.safetensors filter=lfs\n"}}
        self.commits = dict.fromkeys(self.branches, 0)

    def sha(self, branch):
        return hashlib.sha1(f"{branch} {self.commits[branch]}".encode()).hexdigest()


class FakeHub:
    """The server, its repositories, the large files it has, and what was asked of it.

    Attributes:
        faults: (method, part of the path) -> statuses to answer with, each once; `drop` hangs up
            after a part of the body, `None` answers as usual.
    """

    def __init__(self):
        self.repos, self.objects, self.faults, self.asked = {}, {}, {}, []
        self.lock, self.open = threading.Lock(), True
        handler = type("Bound", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self.open = False
        self._server.shutdown()
        self._server.server_close()

    def add(self, name, files, *, private=True):
        """Have a repository that somebody made before."""
        self.repos[name] = Repo(private)
        self.repos[name].branches["main"] |= files

    def files(self, name, branch="main"):
        return {k: v for k, v in self.repos[name].branches[branch].items() if k != OWN}

    def count(self, method, part):
        """Return how often something was asked."""
        return sum(m == method and part in path for m, path in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_):
        pass

    def reply(self, content, status=200, **headers):
        data = json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, said, code=None):
        headers = {"X_Error_Message": said, **({"X_Error_Code": code} if code else {})}
        self.reply({"error": said}, status, **headers)

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def answer(self):
        with self.hub.lock:
            self.hub.asked.append((self.command, self.path))
            fault = self.fault()
        if fault == "drop" or not self.hub.open:
            self.rfile.read(16 if self.command == "PUT" else 0)
            self.close_connection = True
            return
        data = self.body()
        if fault is not None:
            self.refuse(fault, f"made to fail with {TOKEN}")
            return
        with self.hub.lock:
            self.route(data)

    def fault(self):
        for (method, part), waiting in self.hub.faults.items():
            if method == self.command and part in self.path and waiting:
                return waiting.pop(0)
        return None

    def known(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def route(self, data):
        path = self.path.partition("?")[0]
        if path.startswith("/lfs/"):
            key = path.rpartition("/")[2]
            assert hashlib.sha256(data).hexdigest() == key
            self.hub.objects[key] = data
            self.reply({})
        elif path == "/api/validate-yaml":
            self.reply({"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            self.create(json.loads(data))
        elif found := re.fullmatch(r"/(\w+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            self.batch(found[1], json.loads(data))
        elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)(?:/(\w+)/([\w.%-]+))?", path):
            self.repository(*found.groups(), data)
        else:
            self.refuse(404, f"no {path}")

    def create(self, wish):
        name = f"{wish['organization']}/{wish['name']}"
        if not self.known():
            self.refuse(401, "Invalid credentials in Authorization header")
        elif name in self.hub.repos:
            self.reply({"url": f"{self.hub.url}/{name}"}, 409)
        else:
            self.hub.repos[name] = Repo(wish["visibility"] == "private")
            self.reply({"url": f"{self.hub.url}/{name}"})

    def batch(self, name, wish):
        objects = []
        for each in wish["objects"]:
            key = each["oid"]
            upload = {"upload": {"href": f"{self.hub.url}/lfs/{key}"}}
            objects.append({**each, **({} if key in self.hub.objects else {"actions": upload})})
        self.reply({"transfer": "basic", "objects": objects})

    def repository(self, name, action, branch, data):
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self.known()):
            status = 404 if self.known() else 401
            self.refuse(status, "Repository not found", "RepoNotFound")
        elif self.command == "POST" and not self.known():
            self.refuse(403, "no write access")
        elif action == "branch":
            made = branch not in repo.branches
            repo.branches.setdefault(branch, dict(repo.branches["main"]))
            repo.commits.setdefault(branch, 0)
            self.reply({}, 200 if made else 409)
        elif (branch or "main") not in repo.branches:
            self.refuse(404, "Invalid rev id", "RevisionNotFound")
        elif action in (None, "revision"):
            sha = repo.sha(branch or "main")
            self.reply({"id": name, "modelId": name, "sha": sha, "private": repo.private})
        elif action == "tree":
            self.reply([entry(k, v) for k, v in repo.branches[branch].items()])
        elif action == "preupload":
            self.reply({"files": [mode(f) for f in json.loads(data)["files"]]})
        else:
            self.commit(name, branch, [json.loads(line) for line in data.splitlines()])

    def commit(self, name, branch, lines):
        repo = self.hub.repos[name]
        head, *operations = lines
        if head["value"].get("parentCommit") not in (None, repo.sha(branch)):
            self.refuse(412, "the branch has moved")
            return
        files = dict(repo.branches[branch])
        for each in operations:
            value = each["value"]
            if each["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif each["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                assert each["key"] == "deletedFile"
                del files[value["path"]]
        repo.branches[branch] = files
        repo.commits[branch] += 1
        sha = repo.sha(branch)
        self.reply({"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})


def large(name):
    return name.endswith((".safetensors", ".bin"))


def mode(file):
    kind = "lfs" if large(file["path"]) else "regular"
    return {"path": file["path"], "uploadMode": kind, "shouldIgnore": False, "oid": None}


def entry(name, data):
    found = {"type": "file", "path": name, "size": len(data), "oid": blob(data)}
    if large(name):
        key = hashlib.sha256(data).hexdigest()
        found["lfs"] = {"oid": key, "size": len(data), "pointerSize": 130}
    return found
