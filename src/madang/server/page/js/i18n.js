// The page's words in two languages. Elements remember their message's key, so that a change of
// language walks the page instead of drawing it anew.

const LANGUAGES = ["ko", "en"];
const CHOICE = "madang.language";

let language = "en";
const catalogues = new Map();

/** The language of the page: "ko" or "en". */
export function currentLanguage() {
  return language;
}

/** The language that was chosen here before, else the browser's. */
export function preferredLanguage() {
  const chosen = localStorage.getItem(CHOICE);
  if (LANGUAGES.includes(chosen)) return chosen;
  const wished = navigator.languages.map((tag) => tag.split("-")[0]);
  return wished.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** Show the whole page in a language; `remember` keeps it as this browser's choice. */
export async function useLanguage(wanted, { remember = false } = {}) {
  if (!catalogues.has(wanted)) {
    const response = await fetch(`/static/messages/${wanted}.json`);
    catalogues.set(wanted, await response.json());
  }
  language = wanted;
  if (remember) localStorage.setItem(CHOICE, wanted);
  document.documentElement.lang = wanted;
  translate(document.documentElement);
}

/** A message in the page's language with its {placeholders} filled in. */
export function message(key, values = {}) {
  const text = catalogues.get(language)?.[key] ?? "";
  return text.replace(/\{(\w+)\}/gu, (_, name) => String(values[name] ?? ""));
}

/** A number, or a moment (ISO 8601), as the page's language writes it. */
export function number(value) {
  return new Intl.NumberFormat(language).format(value);
}

export function moment(iso) {
  const format = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, format).format(new Date(iso));
}

/** Have an element say a message, now and after each change of language. */
export function say(element, key, values = {}) {
  element.dataset.message = key;
  element.dataset.values = JSON.stringify(values);
  fill(element);
  return element;
}

/** Have an element carry a message as an attribute, such as `aria-label`. */
export function label(element, attribute, key, values = {}) {
  element.dataset.labels = JSON.stringify({ ...labels(element), [attribute]: [key, values] });
  fill(element);
  return element;
}

/** Write every message and time below an element in the page's language. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-message], [data-labels], time[datetime]")) {
    fill(element);
  }
}

function fill(element) {
  const { message: key, values } = element.dataset;
  if (key) element.textContent = message(key, spoken(JSON.parse(values ?? "{}")));
  for (const [attribute, [of, given]] of Object.entries(labels(element))) {
    element.setAttribute(attribute, message(of, spoken(given ?? {})));
  }
  if (element.localName === "time") element.textContent = moment(element.dateTime);
}

function labels(element) {
  return JSON.parse(element.dataset.labels ?? "{}");
}

/** Numbers as the language writes them, and moments that are given as {at: ISO 8601}. */
function spoken(values) {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (typeof value === "number") return [name, number(value)];
      return [name, typeof value?.at === "string" ? moment(value.at) : value];
    }),
  );
}
