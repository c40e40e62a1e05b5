"""The tables of a journal."""

FILE = "journal.sqlite"
FORMAT = "2"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started REAL, load REAL, total REAL);
CREATE TABLE stages (name TEXT PRIMARY KEY, info TEXT NOT NULL);
CREATE TABLE recipes (hash TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE item_sets (
  hash TEXT PRIMARY KEY, part TEXT NOT NULL, items TEXT NOT NULL, weights TEXT);
CREATE TABLE evaluations (
  id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, protocol TEXT NOT NULL, item_set TEXT NOT NULL,
  status TEXT NOT NULL, reason TEXT NOT NULL, score REAL, fitness REAL NOT NULL,
  metrics TEXT NOT NULL, seconds TEXT NOT NULL, proxy INTEGER NOT NULL,
  UNIQUE (recipe, protocol, item_set));
CREATE TABLE subjects (
  id INTEGER PRIMARY KEY, recipe TEXT NOT NULL, protocol TEXT NOT NULL, UNIQUE (recipe, protocol));
CREATE TABLE items (
  subject INTEGER NOT NULL, item TEXT NOT NULL, score REAL NOT NULL, metrics TEXT NOT NULL,
  completion TEXT NOT NULL, tokens INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (subject, item)) WITHOUT ROWID;
CREATE TABLE generations (
  stage TEXT NOT NULL, generation INTEGER NOT NULL, item_set TEXT NOT NULL, told BLOB,
  PRIMARY KEY (stage, generation));
CREATE TABLE candidates (
  stage TEXT NOT NULL, generation INTEGER NOT NULL, position INTEGER NOT NULL,
  genome BLOB NOT NULL, recipe TEXT NOT NULL, evaluation INTEGER, cached INTEGER,
  PRIMARY KEY (stage, generation, position));
CREATE INDEX holders ON candidates (evaluation);
CREATE TABLE roles (
  name TEXT NOT NULL, part TEXT NOT NULL, recipe TEXT NOT NULL, evaluation INTEGER NOT NULL,
  PRIMARY KEY (name, part));
CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, content TEXT NOT NULL);
"""
# Made when there is something to keep in them: journals of earlier versions go on as they are.
EXAMPLES = """
CREATE TABLE IF NOT EXISTS examples (
  place INTEGER PRIMARY KEY, item TEXT NOT NULL, question TEXT NOT NULL, answers TEXT NOT NULL,
  picture BLOB)
"""
ORIGINS = """
CREATE TABLE IF NOT EXISTS origins (
  stage TEXT NOT NULL, generation INTEGER NOT NULL, position INTEGER NOT NULL,
  operator TEXT NOT NULL, parents TEXT NOT NULL,
  PRIMARY KEY (stage, generation, position)) WITHOUT ROWID
"""
STATES = """
CREATE TABLE IF NOT EXISTS states (
  stage TEXT NOT NULL, generation INTEGER NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY (stage, generation)) WITHOUT ROWID
"""
TELLINGS = """
CREATE TABLE IF NOT EXISTS tellings (
  stage TEXT NOT NULL, telling INTEGER NOT NULL, asked INTEGER NOT NULL, places TEXT NOT NULL,
  PRIMARY KEY (stage, telling)) WITHOUT ROWID
"""
