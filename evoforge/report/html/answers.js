"use strict";
/* Shows the answers page by page, those that the form asks for. Texts are only ever set as text. */
(() => {
  const source = document.getElementById("answers-data");
  if (!source) return;
  const { models, best, winner, percent, sign, language, items } = JSON.parse(source.textContent);
  const place = document.getElementById("answers-list");
  const form = document.getElementById("answers-form");
  const SIZE = 8;
  let chosen = items, page = 0, texts = null;

  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const score = (item, model) => {
    const answer = model === null ? null : item[5][model];
    return answer ? sign * answer[1] : -Infinity;
  };
  /* Not Math.max of all: of 10,000 items they are more than a function takes in some browsers. */
  const top = items.reduce((most, item) => Math.max(most, ...models.map((_, i) => score(item, i))), -Infinity);
  const kinds = {
    all: () => true,
    gained: (item) => winner !== null && best !== null && score(item, winner) > score(item, best),
    lost: (item) => winner !== null && best !== null && score(item, winner) < score(item, best),
    only: (item) => item[5].every((_, model) => (score(item, model) >= top) === (model === winner)),
    wrong: (item) => winner !== null && score(item, winner) < top,
    language: (item) => winner !== null && item[5][winner] && item[5][winner][2] === true,
  };
  const text = (item) => [item[0], item[2] || "", ...item[3], ...item[5].map((a) => (a ? a[0] : ""))]
    .join("\n").toLowerCase();

  const row = (name, answer, isWinner) => {
    const line = make("tr", undefined, isWinner ? "strong" : "");
    line.append(make("th", name));
    if (!answer) {
      line.append(make("td", "no answer"), make("td", ""));
      return line;
    }
    const cell = make("td", answer[0] || "(nothing)");
    if (language) cell.lang = language;
    if (answer[2]) cell.append(make("span", "wrong language", "badge bad"));
    if (answer[4] === "length") cell.append(make("span", "cut at its longest", "badge"));
    const shown = percent ? (100 * answer[1]).toFixed(answer[1] % 1 ? 1 : 0) : String(answer[1]);
    const good = percent && answer[1] === 1 ? " good" : percent && answer[1] === 0 ? " bad" : "";
    const mark = make("td", shown, `number${good}`);
    mark.title = `${answer[3]} tokens`;
    line.append(cell, mark);
    return line;
  };

  const card = ([id, task, question, references, picture, answers]) => {
    const article = make("article");
    const head = make("h3", question === null ? id : question);
    if (language && question !== null) head.lang = language;
    if (picture) {
      const image = make("img");
      image.alt = "";
      image.src = `data:image/png;base64,${picture}`;
      article.append(image);
    }
    article.append(head);
    if (question !== null) article.append(make("p", task && !id.startsWith(task) ? `${task}, ${id}` : id, "said"));
    const table = make("table"), body = make("tbody");
    if (references.length) {
      const line = make("tr");
      const cell = make("td", references.join(" / "));
      if (language) cell.lang = language;
      line.append(make("th", "reference"), cell, make("td", ""));
      body.append(line);
    }
    answers.forEach((answer, model) => body.append(row(models[model].name, answer, models[model].winner)));
    table.append(body);
    article.append(table);
    return article;
  };

  const show = () => {
    const last = Math.max(0, Math.ceil(chosen.length / SIZE) - 1);
    page = Math.min(page, last);
    const pager = make("div", undefined, "pager");
    const button = (label, to) => {
      const found = make("button", label);
      found.type = "button";
      found.disabled = to < 0 || to > last;
      found.addEventListener("click", () => { page = to; show(); form.scrollIntoView(); });
      return found;
    };
    const from = chosen.length ? page * SIZE + 1 : 0;
    const to = Math.min(chosen.length, (page + 1) * SIZE);
    pager.append(button("Back", page - 1), button("Next", page + 1),
      make("span", `${from} to ${to} of ${chosen.length} items`));
    place.replaceChildren(pager, ...chosen.slice(page * SIZE, (page + 1) * SIZE).map(card));
  };

  const filter = () => {
    const wanted = form.elements.text.value.trim().toLowerCase();
    const kind = kinds[form.elements.which.value];
    const task = form.elements.task ? form.elements.task.value : "";
    if (wanted && !texts) texts = new Map(items.map((item) => [item, text(item)]));
    chosen = items.filter((item) => kind(item) && (!task || item[1] === task || item[1].startsWith(`${task}/`))
      && (!wanted || texts.get(item).includes(wanted)));
    page = 0;
    show();
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
