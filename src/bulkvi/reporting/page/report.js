"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("gene-data").textContent);
  const n = data.id.length;
  const name = data.name || data.id;
  const sought = data.id.map((id, i) => (data.name ? `${data.name[i]}\n${id}` : id).toLowerCase());

  const signed = (x) => x === null ? "–" : (x < 0 ? "−" : "+") + Math.abs(x).toFixed(data.digits);
  const count = (x) => x === null ? "–" : x >= 100 ? Math.round(x).toLocaleString("en-US") : x.toFixed(1);
  const probability = (x, smallest) => {
    if (x === null) return "–";
    if (x < 1e-300) return `< ${smallest}`;
    return x >= 0.001 ? x.toFixed(3) : x.toExponential(1);
  };
  const kind = (i) => ({ u: "up", d: "down" })[data.kind[i]] || "";

  const svg = "http://www.w3.org/2000/svg";
  const shape = (parent, tag, attributes) => {
    const element = document.createElementNS(svg, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };
  const bar = (parent, low, middle, high) => {
    if (low === null || middle === null || high === null) return;
    const place = (x) => (50 + 48 * Math.max(-1, Math.min(1, x / data.reach))).toFixed(1);
    const drawn = shape(parent, "svg", { class: "bar", viewBox: "0 0 100 12", "aria-hidden": "true" });
    shape(drawn, "path", { class: "zero", d: "M50 0V12" });
    shape(drawn, "path", { class: "reach", d: `M${place(low)} 6H${place(high)}` });
    if (low < -data.reach) shape(drawn, "path", { class: "reach", d: "M5 3L2 6L5 9" });
    if (high > data.reach) shape(drawn, "path", { class: "reach", d: "M95 3L98 6L95 9" });
    if (Math.abs(middle) <= data.reach) shape(drawn, "circle", { cx: place(middle), cy: "6", r: "2.2" });
  };
  const cell = (row, tag, text, style) => {
    const element = document.createElement(tag);
    if (style) element.className = style;
    element.append(text);
    row.append(element);
    return element;
  };
  const line = (i) => {
    const row = document.createElement("tr");
    if (kind(i)) row.className = kind(i);
    const head = cell(row, "th", name[i]);
    head.scope = "row";
    if (name[i] !== data.id[i]) {
      head.append(" ");
      cell(head, "span", data.id[i], "id");
    }
    cell(row, "td", signed(data.fc[i]), "number fc");
    const wide = cell(row, "td", "", "wide");
    bar(wide, data.low[i], data.fc[i], data.high[i]);
    cell(wide, "span", `${signed(data.low[i])} to ${signed(data.high[i])}`, "ends");
    cell(row, "td", probability(data.q[i], "1e-300"), "number");
    cell(row, "td", probability(data.s[i], "1e-15"), "number");
    cell(row, "td", count(data.mean[i]), "number");
    cell(row, "td", data.flags[data.flag[i]].replaceAll(",", ", "));
    return row;
  };

  const table = byId("gene-table");
  const values = {
    name: (i) => name[i].toLowerCase(), fc: (i) => data.fc[i], q: (i) => data.q[i], s: (i) => data.s[i],
    mean: (i) => data.mean[i], flag: (i) => data.flags[data.flag[i]] || null,
  };
  const filters = {
    all: () => true, called: (i) => kind(i) !== "", up: (i) => kind(i) === "up", down: (i) => kind(i) === "down", flagged: (i) => data.flag[i] > 0,
  };
  const missing = (x) => x === null || x === undefined || Number.isNaN(x);
  // what is missing comes last either way; ties keep the order of the data, most significant first
  const compare = (a, b, falling) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return falling ? -order : order;
  };
  const state = { by: null, falling: false, page: 0 };
  let found = [];
  const show = () => {
    const size = Number(byId("gene-rows").value);
    const pages = Math.max(1, Math.ceil(found.length / size));
    state.page = Math.max(0, Math.min(state.page, pages - 1));
    const from = state.page * size;
    const shown = found.slice(from, from + size);
    table.tBodies[0].replaceChildren(...shown.map(line));
    const total = found.length.toLocaleString("en-US");
    byId("gene-count").textContent = shown.length
      ? `${(from + 1).toLocaleString("en-US")} to ${(from + shown.length).toLocaleString("en-US")} of ${total} genes`
      : "No gene fits";
    byId("gene-page").textContent = `Page ${(state.page + 1).toLocaleString("en-US")} of ${pages.toLocaleString("en-US")}`;
    byId("gene-back").disabled = state.page === 0;
    byId("gene-next").disabled = state.page === pages - 1;
  };
  const select = () => {
    const words = byId("gene-search").value.toLowerCase().split(/[\s,;]+/).filter(Boolean);
    const keep = filters[byId("gene-show").value];
    found = [];
    for (let i = 0; i < n; i++) {
      if (keep(i) && (!words.length || words.some((word) => sought[i].includes(word)))) found.push(i);
    }
    if (state.by) {
      const value = values[state.by];
      found.sort((i, j) => compare(value(i), value(j), state.falling) || i - j);
    }
    state.page = 0;
    show();
  };

  // a heading becomes a button; aria-sort says which column is sorted, and how
  const sortable = (head, sorted) => {
    const button = document.createElement("button");
    button.type = "button";
    head.dataset.text = head.textContent;
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      const falling = before ? before === "ascending" : head.dataset.by === "fc" || head.dataset.by === "mean";
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sorted(falling);
    });
  };
  for (const head of table.tHead.rows[0].cells) {
    if (head.dataset.by) {
      sortable(head, (falling) => {
        Object.assign(state, { by: head.dataset.by, falling });
        select();
      });
    }
  }
  byId("gene-controls").addEventListener("submit", (event) => event.preventDefault());
  byId("gene-search").addEventListener("input", select);
  byId("gene-show").addEventListener("change", select);
  byId("gene-rows").addEventListener("change", select);
  byId("gene-back").addEventListener("click", () => { state.page -= 1; show(); });
  byId("gene-next").addEventListener("click", () => { state.page += 1; show(); });
  byId("gene-controls").hidden = false;
  byId("gene-pages").hidden = false;
  select();

  for (const plain of document.querySelectorAll("table.plain")) {
    [...plain.tHead.rows[0].cells].forEach((head, column) => sortable(head, (falling) => {
      const value = (row) => {
        const { key } = row.cells[column].dataset;
        const text = row.cells[column].textContent;
        return key !== undefined ? Number(key) : head.classList.contains("number") ? null : text;
      };
      const rows = [...plain.tBodies[0].rows];
      rows.sort((a, b) => compare(value(a), value(b), falling));
      plain.tBodies[0].append(...rows);
    }));
  }
  for (const field of document.querySelectorAll("input[data-filters]")) {
    field.addEventListener("input", () => {
      const word = field.value.toLowerCase();
      for (const row of byId(field.dataset.filters).tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(word);
      }
    });
  }
})();
