"use strict";
/* Draws the charts that the page holds as JSON, in the page's colours, light or dark. */
(() => {
  const blocks = [...document.querySelectorAll("script.spec")];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  /* Rows by the name of their data, made anew for each chart: Vega writes into what it is given. */
  const rows = (name) => {
    const found = document.querySelector(`script.data[data-name="${name}"]`);
    const { fields, rows } = JSON.parse(found.textContent);
    return rows.map((row) => Object.fromEntries(fields.map((field, i) => [field, row[i]])));
  };

  const named = (spec, found = new Set()) => {
    if (spec && typeof spec === "object") {
      if (spec.data && typeof spec.data.name === "string") found.add(spec.data.name);
      if (spec.from && spec.from.data && typeof spec.from.data.name === "string")
        found.add(spec.from.data.name);
      for (const [key, inner] of Object.entries(spec)) if (key !== "values") named(inner, found);
    }
    return found;
  };

  /* `var(--ink)` and the like as the colours they are at the moment. */
  const coloured = (value, css) => {
    if (typeof value === "string") {
      const match = /^var\((--[a-z0-9]+)\)$/.exec(value);
      return match ? css.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((each) => coloured(each, css));
    if (value && typeof value === "object") {
      const entries = Object.entries(value);
      return Object.fromEntries(
        entries.map(([key, inner]) => [key, key === "values" ? inner : coloured(inner, css)]));
    }
    return value;
  };

  const config = () => ({
    background: "transparent",
    font: "system-ui, sans-serif",
    autosize: { type: "fit-x", contains: "padding" },
    view: { stroke: null },
    axis: { domainColor: "var(--line)", gridColor: "var(--line)", tickColor: "var(--line)",
            labelColor: "var(--faint)", titleColor: "var(--ink)", titleFontWeight: "normal",
            labelFontSize: 11, titleFontSize: 12, labelOverlap: true },
    legend: { labelColor: "var(--ink)", titleColor: "var(--faint)", titleFontWeight: "normal",
              orient: "top", labelFontSize: 12, labelLimit: 220, symbolStrokeColor: "var(--faint)" },
    title: { color: "var(--ink)", anchor: "start", fontSize: 13 },
    header: { labelColor: "var(--ink)", titleColor: "var(--faint)" },
    text: { color: "var(--ink)" }, rule: { color: "var(--faint)" }, line: { color: "var(--c0)" },
    point: { color: "var(--c0)" }, bar: { color: "var(--c0)" }, rect: { color: "var(--c0)" },
    range: {
      category: [0, 1, 2, 3, 4, 5, 6].map((i) => `var(--c${i})`),
      ramp: [0, 1, 2, 3].map((i) => `var(--r${i})`),
      heatmap: [0, 1, 2, 3].map((i) => `var(--r${i})`),
    },
  });

  /* Charts of several views do not fit themselves to their container. */
  const fitted = (spec, wide) => {
    if (!spec.vconcat) return spec;
    const { width, ...rest } = spec;
    const views = spec.vconcat.map((view) => ({ ...view, width: Math.max(120, wide - 70) }));
    return { ...rest, autosize: { type: "pad" }, vconcat: views };
  };

  const drawn = new Map();
  const draw = async (block) => {
    const place = document.getElementById(`chart-${block.dataset.chart}`);
    const css = getComputedStyle(document.documentElement);
    const spec = JSON.parse(block.textContent);
    const datasets = Object.fromEntries([...named(spec)].map((name) => [name, rows(name)]));
    const whole = fitted(coloured(spec, css), place.clientWidth);
    try {
      const result = await vegaEmbed(place, { ...whole, datasets }, {
        mode: "vega-lite", renderer: block.dataset.renderer, ast: true,
        tooltip: { theme: dark.matches ? "dark" : "light" }, config: coloured(config(), css),
        actions: { export: true, source: false, compiled: false, editor: false },
      });
      if (drawn.has(block)) drawn.get(block).finalize();
      drawn.set(block, result);
    } catch (error) {
      place.textContent = `This chart cannot be drawn: ${error.message}`;
      place.dataset.failed = "yes";
    }
  };

  /* One after another, so that the page answers meanwhile; what is folded away waits. */
  const hidden = (block) => block.closest("details:not([open])");
  const all = async (chosen) => {
    for (const block of chosen) {
      await draw(block);
      await new Promise((done) => setTimeout(done));
    }
    document.documentElement.dataset.drawn = String(drawn.size);
  };
  for (const fold of document.querySelectorAll("details"))
    fold.addEventListener("toggle", () => {
      if (fold.open) all(blocks.filter((b) => fold.contains(b) && !hidden(b) && !drawn.has(b)));
    });
  dark.addEventListener("change", () => all(blocks.filter((b) => !hidden(b))));
  let wide = innerWidth, timer = 0;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (innerWidth === wide) return;
      wide = innerWidth;
      all(blocks.filter((b) => !hidden(b) && "vconcat" in JSON.parse(b.textContent)));
    }, 200);
  });
  all(blocks.filter((b) => !hidden(b)));
})();
