// Tables of class "sortable": a click on a heading sorts by it, a second one the other way, a third restores the order.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0], given = [...body.rows];
  const key = (row, column) => { const cell = row.cells[column]; return cell.dataset.sort ?? cell.textContent.trim(); };
  const compare = (a, b) => (a === '' || b === '' ? (a === '') - (b === '') :
    isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => {
      const next = { none: 'ascending', ascending: 'descending', descending: 'none' }[heading.ariaSort ?? 'none'];
      for (const other of headings) other.removeAttribute('aria-sort');
      if (next !== 'none') heading.ariaSort = next;
      const sign = next === 'descending' ? -1 : 1;
      const rows = next === 'none' ? given : [...given].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        return x === '' || y === '' ? compare(x, y) : sign * compare(x, y);
      });
      body.append(...rows);
    });
  });
}
