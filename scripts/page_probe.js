// What page_check.py asks a page: each function gives {seen, problems}, with how many things it looked at and a sentence for
// each that is wrong.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const visible = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    element.getBoundingClientRect().width > 0;
  const excerpt = (text) => {
    const line = text.trim().replace(/\s+/g, ' ');
    return `"${line.length > 40 ? `${line.slice(0, 39)}…` : line}"`;
  };
  const named = (element) =>
    element.tagName.toLowerCase() +
    (element.id ? `#${element.id}` : '') +
    [...element.classList].map((name) => `.${name}`).join('');
  const figure = (svg) => `figure ${excerpt(svg.getAttribute('aria-label') ?? '')}`;

  // Sizes.

  /** Screen pixels for each unit of an SVG element. */
  const scale = (element) => {
    const { a, b, c, d } = element.getScreenCTM();
    return Math.sqrt(Math.abs(a * d - b * c));
  };

  /** Texts of a figure that lie on each other. Letters fill about two thirds of the height of a line. */
  function overprinted(svg) {
    const texts = all('text', svg).filter((text) => visible(text) && text.textContent.trim());
    const boxes = texts.map((text) => {
      const { left, right, top, bottom, height } = text.getBoundingClientRect();
      return { left, right, top: top + height / 6, bottom: bottom - height / 6, said: excerpt(text.textContent) };
    });
    const found = [];
    boxes.forEach((one, at) => {
      for (const other of boxes.slice(at + 1)) {
        const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        if (across > 1 && down > 1) found.push(`${figure(svg)}: ${one.said} and ${other.said} lie on each other`);
      }
    });
    return found;
  }

  function layout(smallestText) {
    const problems = [];
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > innerWidth) {
      // What stands in a box that scrolls makes no page wide.
      const boxed = (element) => element && (getComputedStyle(element).overflowX !== 'visible' || boxed(element.parentElement));
      const over = all('body *').filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5);
      const wide = over.find((element) => !boxed(element.parentElement));
      const culprit = wide ? `, as ${named(wide)} does` : '';
      problems.push(`the page is ${scrollWidth} px wide in a window of ${innerWidth}${culprit}`);
    }
    const figures = all('figure > svg');
    for (const svg of figures) {
      const box = svg.getBoundingClientRect();
      if (!visible(svg)) problems.push(`${figure(svg)} is not visible`);
      else if (box.width < 200 || box.height < 80)
        problems.push(`${figure(svg)} is only ${box.width.toFixed()}×${box.height.toFixed()} px`);
      else if (box.left < -0.5 || box.right > innerWidth + 0.5)
        problems.push(`${figure(svg)} lies from ${box.left.toFixed()} to ${box.right.toFixed()} of ${innerWidth} px`);
      for (const text of all('text', svg).filter((text) => visible(text) && text.textContent.trim())) {
        const height = parseFloat(getComputedStyle(text).fontSize) * scale(text);
        if (height < smallestText) problems.push(`${figure(svg)}: ${excerpt(text.textContent)} is ${height.toFixed(1)} px high`);
        const at = text.getBoundingClientRect();
        const over = Math.max(box.left - at.left, at.right - box.right, box.top - at.top, at.bottom - box.bottom);
        if (over > 1) problems.push(`${figure(svg)}: ${excerpt(text.textContent)} runs out of it by ${over.toFixed(1)} px`);
      }
      problems.push(...overprinted(svg));
    }
    const tables = all('table').filter(visible);
    for (const table of tables.filter((table) => table.getBoundingClientRect().right > innerWidth + 0.5)) {
      let box = table.parentElement;
      while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
      if (!box || box === document.body || box.getBoundingClientRect().right > innerWidth + 0.5)
        problems.push(`${named(table)} is wider than the page and in no box that scrolls`);
    }
    return { seen: `${figures.length} figures, ${tables.length} tables`, problems };
  }

  /** Tables that scroll: their first column stays, in the head too, hides what is behind it, and cuts no value. */
  async function scrolled() {
    const problems = [];
    let seen = 0;
    for (const table of all('table.sortable, table.keys').filter(visible)) {
      let box = table.parentElement;
      while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
      const far = box ? box.scrollWidth - box.clientWidth : 0;
      if (far < 2) continue;
      seen += 1;
      const name = `table ${excerpt(box.getAttribute('aria-label') ?? table.textContent)}`;
      const lines = [...table.rows].slice(0, 12);
      for (const share of [0.3, 0.6, 1]) {
        box.scrollLeft = share * far;
        await moment(60);
        const edges = lines.map((row) => row.cells[0].getBoundingClientRect());
        const [wanted, end] = [box.getBoundingClientRect().left, edges[0].right];
        const off = edges.find((edge) => Math.abs(edge.left - wanted) > 1);
        if (off) problems.push(`${name}: its first column does not stay: ${off.left.toFixed()} and not ${wanted.toFixed()} px`);
        if (end - wanted > box.clientWidth / 2) problems.push(`${name}: its first column takes ${(end - wanted).toFixed()} px`);
        const clear = lines.find((row) => color(getComputedStyle(row.cells[0]).backgroundColor)[3] < 1);
        if (clear) problems.push(`${name}: its first column lets others show through`);
        for (const cell of lines.flatMap((row) => [...row.cells].slice(1)).filter(visible)) {
          const range = document.createRange();
          range.selectNodeContents(cell);
          const { left, right } = range.getBoundingClientRect();
          if (left < end - 1 && right > end + 1) problems.push(`${name}: ${excerpt(cell.textContent)} is cut by its first column`);
        }
      }
      box.scrollLeft = 0;
    }
    return { seen: `${seen} tables that scroll`, problems: [...new Set(problems)] };
  }

  // Colours: [red, green, blue, alpha], 0 to 1.

  const painter = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parsed = new Map();
  /** Painted, so that every notation of a colour is understood. */
  function color(text) {
    if (!parsed.has(text)) {
      painter.clearRect(0, 0, 1, 1);
      painter.fillStyle = 'transparent';
      painter.fillStyle = text;
      painter.fillRect(0, 0, 1, 1);
      parsed.set(text, [...painter.getImageData(0, 0, 1, 1).data].map((byte) => byte / 255));
    }
    return parsed.get(text);
  }
  const over = ([r, g, b, alpha], under, opacity = 1) => {
    const share = alpha * opacity;
    return [r, g, b].map((value, i) => value * share + under[i] * (1 - share)).concat(1);
  };
  /** WCAG 2.2, relative luminance and contrast ratio. */
  function luminance(rgb) {
    const [r, g, b] = rgb.slice(0, 3).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function ratio(one, other) {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }

  const ancestors = (element) => {
    const line = [];
    for (let at = element; at; at = at.parentElement) line.unshift(at);
    return line;
  };
  const opacity = (element) =>
    ancestors(element).reduce((product, at) => product * parseFloat(getComputedStyle(at).opacity), 1);

  /** The page's own ground, which lies below all backgrounds. */
  function canvas() {
    const sample = document.createElement('i');
    sample.style.backgroundColor = 'Canvas';
    document.documentElement.append(sample);
    const found = color(getComputedStyle(sample).backgroundColor);
    sample.remove();
    return found;
  }

  /** What lies behind an element, and how clear it is; `known` holds that of each element that was asked for. */
  function behind(element, known) {
    if (!element) return { found: [canvas()], clear: 1 };
    if (!known.has(element)) {
      const under = behind(element.parentElement, known);
      const style = getComputedStyle(element);
      const clear = under.clear * parseFloat(style.opacity);
      const found = under.found.map((below) => over(color(style.backgroundColor), below, clear));
      const stops = style.backgroundImage.includes('gradient(')
        ? style.backgroundImage.match(/(?:rgba?|color|oklch|oklab|lab|lch|hsla?)\([^()]*\)/g) ?? []
        : [];
      const graded = stops.flatMap((stop) => found.map((below) => over(color(stop), below, clear)));
      known.set(element, { found: [...found, ...graded], clear });
    }
    return known.get(element);
  }

  /** Every colour that may lie behind an element: of a gradient each of its stops. */
  const grounds = (element, known = new Map()) => behind(element, known).found;

  /** The filled shapes of an SVG, with their places on the screen. */
  function filled(svg) {
    const found = [];
    for (const shape of all('rect, circle, ellipse, polygon, path', svg)) {
      const style = getComputedStyle(shape);
      if (style.fill === 'none' || style.fill.startsWith('url(')) continue;
      if (!shape.checkVisibility({ visibilityProperty: true })) continue;
      const matrix = shape.getScreenCTM();
      if (shape.closest('defs, clipPath, marker, mask, pattern, symbol') || !matrix) continue;
      const share = parseFloat(style.fillOpacity) * opacity(shape);
      found.push({ shape, box: shape.getBoundingClientRect(), inverse: matrix.inverse(), fill: color(style.fill), share });
    }
    return found;
  }

  /** The same for a text of an SVG, which the shapes painted before it lie behind. */
  function groundsInSvg(text, svg, known, shapes) {
    const box = text.getBoundingClientRect();
    const centre = new DOMPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (!shapes.has(svg)) shapes.set(svg, filled(svg));
    const holds = ({ left, right, top, bottom }) =>
      left <= centre.x && centre.x <= right && top <= centre.y && centre.y <= bottom;
    let found = grounds(svg, known);
    for (const { shape, box: around, inverse, fill, share } of shapes.get(svg)) {
      if (!holds(around) || !(shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) continue;
      if (!shape.isPointInFill(centre.matrixTransform(inverse))) continue;
      found = found.map((under) => over(fill, under, share));
    }
    return found;
  }

  /** A number that elements share which look alike: their tags, classes, ids and styles, and those around them. */
  function looks() {
    const [numbers, of] = [new Map(), new Map()];
    return function look(element) {
      if (!element) return 0;
      if (!of.has(element)) {
        const own = ['class', 'id', 'style'].map((name) => element.getAttribute(name));
        const words = [look(element.parentElement), element.tagName, ...own].join(' ');
        if (!numbers.has(words)) numbers.set(words, numbers.size + 1);
        of.set(element, numbers.get(words));
      }
      return of.get(element);
    };
  }

  function contrast() {
    const problems = [];
    const worst = new Map();
    const [known, shapes, look, judged] = [new Map(), new Map(), looks(), new Set()];
    const judge = (element, what, ink, clear, found, size, weight) => {
      const needed = size >= 24 || (size >= 18.66 && weight >= 700) ? 3 : 4.5;
      const reached = Math.min(...found.map((ground) => ratio(over(ink, ground, clear), ground)));
      // Rounded, so that a colour that was chosen for 4.5 does not fail in its last bit.
      const least = Math.round(reached * 100) / 100;
      const key = `${named(element)} ${least}`;
      if (least < needed && !worst.has(key)) worst.set(key, `${what} in ${named(element)}: ${least} of ${needed}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let texts = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || element.closest('script, style, noscript')) continue;
      const svg = element.closest('text') && element.closest('svg');
      // What looks like a text before looks as well; in a figure, other shapes may lie behind it.
      const alike = svg ? 0 : look(element);
      if (judged.has(alike)) {
        texts += 1;
        continue;
      }
      if (!element.checkVisibility({ visibilityProperty: true })) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      // Text for screen readers alone is cut down to a pixel.
      if (![...range.getClientRects()].some((box) => box.width > 1 && box.height > 1)) continue;
      const holder = element.getBoundingClientRect();
      if (holder.width <= 1 || holder.height <= 1) continue;
      texts += 1;
      if (!svg) judged.add(alike);
      const style = getComputedStyle(element);
      const size = parseFloat(style.fontSize) * (svg ? scale(element) : 1);
      const ink = color(svg ? style.fill : style.color);
      const clear = opacity(element) * (svg ? parseFloat(style.fillOpacity) : 1);
      const below = svg ? groundsInSvg(element, svg, known, shapes) : grounds(element, known);
      judge(element, excerpt(node.data), ink, clear, below, size, parseInt(style.fontWeight));
    }
    for (const input of all('input[placeholder]').filter(visible)) {
      const style = getComputedStyle(input, '::placeholder');
      const clear = opacity(input) * parseFloat(style.opacity);
      judge(input, excerpt(input.placeholder), color(style.color), clear, grounds(input), parseFloat(style.fontSize), 400);
    }
    problems.push(...worst.values());
    return { seen: `${texts} texts`, problems };
  }

  /** The colour behind the page's text. */
  const ground = () => grounds(document.body).at(0).map((value) => Math.round(value * 255)).slice(0, 3).join(' ');

  // Controls.

  const moment = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
  const body = (table) => [...table.tBodies].flatMap((part) => [...part.rows]);

  async function theme() {
    const button = document.querySelector('#theme, button[data-theme]');
    if (!button || !visible(button)) return { seen: '', problems: ['no button #theme is seen'] };
    const before = ground();
    // Three, as it may stand on the system's theme first.
    for (let click = 0; click < 3; click += 1) {
      button.click();
      await moment(300);
      if (ground() !== before) return { seen: `${click + 1} clicks`, problems: [] };
    }
    return { seen: '3 clicks', problems: [`the button ${named(button)} leaves the ground at ${before}`] };
  }

  const text = (cell) => (cell.dataset.value ?? cell.textContent).trim();
  /** Whether `cells` are in order: as numbers where all are, else as text in a usual order. Empty ones and dashes may be anywhere. */
  function ordered(cells, sign) {
    const values = cells.map(text).filter((value) => !['', '–'].includes(value));
    const numbers = values.map(Number);
    const orders = numbers.some(Number.isNaN)
      ? [
          (a, b) => a.localeCompare(b),
          (a, b) => a.localeCompare(b, undefined, { numeric: true }),
          (a, b) => (a < b ? -1 : +(a > b)),
        ]
      : [(a, b) => a - b];
    const list = numbers.some(Number.isNaN) ? values : numbers;
    return orders.some((order) => list.every((value, i) => i === 0 || sign * order(list[i - 1], value) <= 0));
  }

  async function sort() {
    const problems = [];
    const tables = all('table.sortable');
    let columns = 0;
    if (!tables.length) problems.push('no table.sortable');
    for (const [number, table] of tables.entries()) {
      const rows = body(table);
      const buttons = all('th button', table);
      if (!buttons.length) problems.push(`table ${number + 1}: no button in its head`);
      for (const button of buttons) {
        const head = button.closest('th');
        const where = `table ${number + 1}, column ${excerpt(button.textContent)}`;
        const cells = () => body(table).map((row) => row.cells[head.cellIndex]).filter(Boolean);
        // `12.3 k` is no number as it stands.
        const numeral = (words) => /^[+−-]?\d+([.,]\d+)*(\s.*)?$/.test(words) && Number.isNaN(Number(words));
        const bare = cells().find((cell) => cell.dataset.value === undefined && numeral(text(cell)));
        if (bare) problems.push(`${where}: ${excerpt(bare.textContent)} has no data-value`);
        const seen = [];
        for (let click = 0; click < 2; click += 1) {
          button.click();
          await moment();
          const direction = head.getAttribute('aria-sort');
          seen.push(direction);
          const sign = { ascending: 1, descending: -1 }[direction];
          if (!sign) problems.push(`${where}: aria-sort is ${direction} after a click`);
          else if (!ordered(cells(), sign))
            problems.push(`${where}: ${cells().map(text).slice(0, 5).join(', ')} is not ${direction}`);
          const others = all('th[aria-sort]', table).filter((other) => other !== head && other.ariaSort !== 'none');
          if (others.length) problems.push(`${where}: aria-sort stays on another column`);
        }
        if (seen[0] === seen[1]) problems.push(`${where}: a second click does not reverse`);
        columns += 1;
      }
      const kept = body(table);
      const lost = kept.length !== rows.length || rows.some((row) => !kept.includes(row));
      if (lost) problems.push(`table ${number + 1}: rows are lost`);
    }
    return { seen: `${columns} columns of ${tables.length} tables`, problems };
  }

  const rows = () => all('table.sortable tbody tr');
  /** The rows that are seen, and the first word of each row's first cell. */
  const shown = () => rows().map(visible);
  const words = () => rows().map((row) => row.cells[0]?.textContent.trim().split(/\s+/)[0].toLowerCase() ?? '');
  /** A row of a table of keys is also found by its columns. */
  const matching = (word) =>
    rows().map((row) => {
      const heads = row.closest('.keys')?.tHead.textContent ?? '';
      return `${row.textContent} ${heads}`.toLowerCase().includes(word);
    });
  const results = () => all('.results tbody tr').length;
  /** What is shown once it is not `before`, or after a while: a page may wait until the typing ends. */
  async function changed(before, patience) {
    const began = performance.now();
    while (String(shown()) === String(before) && performance.now() - began < patience) await moment(20);
    return shown();
  }
  function search() {
    const field = document.querySelector('input[type=search]');
    if (!field || !visible(field)) return false;
    field.focus();
    field.select();
    return true;
  }

  // One colour for each variant, and the contents.

  /** The number of a colour in a class such as `swatch-3`, `fill-v3`, `stroke-v3`. */
  const colourOf = (element) => [...element.classList].map((name) => /^(?:swatch-|(?:fill|stroke)-v)(\d+)$/.exec(name)?.[1]).find(Boolean);
  const crosses = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;

  /** Each variant has one colour in all tables, and its marks in figures have that colour. */
  function colours() {
    const problems = [];
    const known = new Map();
    for (const row of all('tr[data-variant]')) {
      const swatch = row.querySelector('[class*="swatch-"]');
      if (!swatch) continue;
      const [variant, colour] = [row.dataset.variant, colourOf(swatch)];
      if (known.has(variant) && known.get(variant) !== colour)
        problems.push(`${excerpt(row.cells[0].textContent)} has another colour in another table`);
      known.set(variant, colour);
    }
    let marks = 0;
    for (const svg of all('figure > svg')) {
      const shapes = all('rect, circle, polyline, polygon', svg).filter(colourOf);
      for (const spot of shapes.length ? all('.spot[data-variant]', svg) : []) {
        const box = spot.getBoundingClientRect();
        const near = shapes.filter((shape) => crosses(shape.getBoundingClientRect(), box)).map(colourOf);
        const wanted = known.get(spot.dataset.variant);
        if (!near.length || wanted === undefined) continue;
        marks += 1;
        if (!near.includes(wanted))
          problems.push(`${figure(svg)}: a mark of variant ${spot.dataset.variant} has colour ${near[0]} and not ${wanted}`);
      }
    }
    return { seen: `${known.size} variants, ${marks} marks`, problems };
  }

  /** Links lead somewhere, and every part of the page is listed. */
  function links() {
    const problems = [];
    const list = document.querySelector('nav');
    if (!list || !visible(list)) return { seen: '', problems: ['no nav is seen'] };
    const targets = all('a[href^="#"]', list).map((link) => decodeURIComponent(link.getAttribute('href').slice(1)));
    for (const target of targets.filter((target) => !document.getElementById(target)))
      problems.push(`the contents lead to #${target}, which is not there`);
    for (const part of all('main section[id], main .group[id]').filter((part) => !targets.includes(part.id)))
      problems.push(`${named(part)} is not in the contents`);
    if (!targets.length) problems.push('the contents are empty');
    return { seen: `${targets.length} links`, problems };
  }

  /** Links of the contents open what they lead into. */
  async function follow() {
    const problems = [];
    for (const link of all('nav a[href^="#"]')) {
      const target = document.getElementById(decodeURIComponent(link.getAttribute('href').slice(1)));
      if (!target || target.checkVisibility()) continue;
      link.click();
      await moment(20);
      if (!target.checkVisibility()) problems.push(`${excerpt(link.textContent)} leads into a fold and does not open it`);
    }
    return problems;
  }

  /** What the page says of its filter. */
  const told = () => document.querySelector('[role=status]#filtered, output')?.textContent.trim() ?? '';
  const says = (words) => document.body.innerText.includes(words);

  // Without scripts, in print, for those who do not see.

  const line = (cell) => cell.textContent.trim().replace(/\s+/g, ' ');
  const contents = () => rows().map((row) => [...row.cells].map(line).join(' | '));
  const seenOf = (selector) =>
    all(selector)
      .filter((element) => element.checkVisibility({ visibilityProperty: true }))
      .map(named);
  /** Tables of which paper shows a part: it does not scroll, and the browser makes a page that overflows at most 1.5 times smaller. */
  function cut() {
    const clipped = (element) =>
      ancestors(element.parentElement).some((at) => at !== document.body && getComputedStyle(at).overflowX !== 'visible');
    return all('table')
      .filter((table) => visible(table))
      .filter((table) => table.getBoundingClientRect().right > innerWidth * (clipped(table) ? 1 : 1.5) + 1)
      .map((table) => `${named(table)} is ${table.getBoundingClientRect().width.toFixed()} px wide on a sheet of ${innerWidth}`);
  }
  /** Results that a fold keeps from paper. */
  const kept = () => all('.group .results table').filter((table) => !table.checkVisibility()).map(named);
  /** Opens all that folds, and shows every figure of a switch. */
  const unfold = () => {
    all('details').forEach((details) => (details.open = true));
    all('.ways > figure').forEach((figure) => (figure.style.display = 'block'));
  };

  function access() {
    const problems = [];
    const images = all('svg[role=img]');
    for (const svg of images.filter((svg) => !svg.getAttribute('aria-label')?.trim()))
      problems.push(`${named(svg)} has no aria-label`);
    for (const svg of all('figure > svg:not([role=img])')) problems.push(`${figure(svg)} has no role=img`);
    for (const image of all('img:not([alt])')) problems.push(`${named(image)} has no alt text`);
    const label = (control) =>
      [...(control.labels ?? [])].some((label) => label.textContent.trim()) ||
      control.ariaLabel?.trim() || control.getAttribute('aria-labelledby');
    const inputs = all('input:not([type=hidden]), select, textarea');
    for (const input of inputs.filter((input) => !label(input))) problems.push(`${named(input)} has no label`);
    for (const button of all('button').filter((button) => !button.textContent.trim() && !label(button)))
      problems.push(`${named(button)} has neither text nor label`);
    let level = 0;
    for (const heading of all('h1, h2, h3, h4, h5, h6')) {
      const next = Number(heading.tagName[1]);
      const before = level ? `after an h${level}` : 'with none before';
      if (next > level + 1) problems.push(`${excerpt(heading.textContent)} is an h${next} ${before}`);
      level = next;
    }
    if (!level) problems.push('no heading');
    const ids = all('[id]').map((element) => element.id);
    for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i)))
      problems.push(`the id ${excerpt(id)} stands more than once`);
    if (!document.documentElement.lang) problems.push('html has no lang');
    if (!document.title.trim()) problems.push('no title');
    return { seen: `${images.length} images, ${inputs.length} inputs, ${ids.length} ids`, problems };
  }

  return {
    layout, scrolled, contrast, ground, theme, sort, search, shown, changed, words, matching, results, told, says, colours, links,
    follow, contents, seenOf, cut, kept, unfold, access,
  };
})()
