// The server counts in Unicode code points, JavaScript strings in UTF-16 code units.

/** The UTF-16 index of the code point at `offset`; past the end it is the text's length. */
export function utf16Index(text, offset) {
  let index = 0;
  for (let seen = 0; seen < offset && index < text.length; seen += 1) {
    index += text.codePointAt(index) > 0xffff ? 2 : 1;
  }
  return index;
}

/** The part of a text between two code-point offsets. */
export function slice(text, start, end) {
  const from = utf16Index(text, start);
  return text.slice(from, from + utf16Index(text.slice(from), end - start));
}

/** The number of code points of a text. */
export function length(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/**
 * Cut a text at spans: [{text, marked}] in order. Spans are [start, end] in code points; they may
 * overlap or lie outside of the text.
 */
export function cut(text, spans) {
  const merged = [];
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else if (end > start) merged.push([Math.max(start, 0), end]);
  }
  const parts = [];
  let done = 0;
  for (const [start, end] of merged) {
    const from = utf16Index(text, start);
    const to = utf16Index(text, end);
    if (from > done) parts.push({ text: text.slice(done, from), marked: false });
    if (to > from) parts.push({ text: text.slice(from, to), marked: true });
    done = Math.max(done, to);
  }
  if (done < text.length) parts.push({ text: text.slice(done), marked: false });
  return parts;
}
