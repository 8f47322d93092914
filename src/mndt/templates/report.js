// Extras only: the page says everything without them.
(() => {
  const element = (tag, text) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; return e; };

  // Small window with a cell's figures.
  const data = document.getElementById("cell-figures"), box = document.querySelector(".window");
  if (data && box) {
    const { runs, labels, cells } = JSON.parse(data.textContent);
    const fill = (cell) => {
      const title = element("p"), table = element("table");
      title.append(element("strong", cell.name), ` ${cell.kind}, site ${cell.site}`);
      const head = element("tr");
      head.append(element("th"), ...runs.map((r) => Object.assign(element("th", r), { className: "number" })));
      table.append(head);
      labels.forEach((label, i) => {
        const row = element("tr");
        row.append(element("th", label), ...cell.runs.map((r) => Object.assign(element("td", r[i] === null ? "–" : r[i].toFixed(1)), { className: "number" })));
        table.append(row);
      });
      box.replaceChildren(title, ...(cell.note ? [Object.assign(element("p", cell.note), { className: "out" })] : []), table);
    };
    document.querySelectorAll("svg[data-hover] path").forEach((path) => {
      path.querySelector("title")?.remove();
      path.addEventListener("pointerenter", () => { fill(cells[path.dataset.cell]); box.hidden = false; });
      path.addEventListener("pointermove", (e) => {
        box.style.left = `${Math.max(8, Math.min(e.clientX + 16, innerWidth - box.offsetWidth - 8))}px`;
        box.style.top = `${Math.max(8, Math.min(e.clientY + 16, innerHeight - box.offsetHeight - 8))}px`;
      });
      path.addEventListener("pointerleave", () => { box.hidden = true; });
    });
  }

  // Tables sort by a click on a heading.
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim().replaceAll(",", "").replace("−", "-"), number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((th, column) => {
      const button = element("button", th.textContent);
      button.type = "button";
      th.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") !== "descending";
        [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1);
        const rows = [...body.rows].sort((a, b) => order(value(a, column), value(b, column)));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  });
})();
