/** The style sheet of the report's page: light and dark, narrow and wide, on paper. */

export const STYLE = `
:root { color-scheme: light dark; --ink: #222; --faint: #666; --line: #ddd; --paper: #fff; --stripe: #f6f6f6; --link: #0062a3; }
@media (prefers-color-scheme: dark) {
    :root { --ink: #ddd; --faint: #999; --line: #444; --paper: #1b1b1b; --stripe: #242424; --link: #6fb8e8; }
}
body { max-width: 62rem; margin: 0 auto; padding: 1.5rem; color: var(--ink); background: var(--paper);
    font: 16px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
a { color: var(--link); }
figure { margin: 1.5rem 0; }
figure svg { max-width: 100%; height: auto; border-radius: 6px; background: white; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: 0.4rem; }
th, td { padding: 0.25rem 0.75rem; text-align: left; vertical-align: baseline; }
sup { line-height: 0; }
thead th { border-bottom: 1px solid var(--faint); font-weight: 600; }
tbody tr:nth-child(even) { background: var(--stripe); }
tbody th { font-weight: normal; white-space: nowrap; }
td.number { white-space: nowrap; }
tr.baseline { color: var(--faint); }
.note, figcaption { font-size: 0.875rem; color: var(--faint); }
summary { cursor: pointer; margin-top: 1rem; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; font-size: 0.875rem; }
dt { color: var(--faint); }
dd { margin: 0; }
blockquote { margin: 1rem 0 0.25rem; padding-left: 0.75rem; border-left: 3px solid var(--line); white-space: pre-wrap; }
td.answer { white-space: pre-wrap; overflow-wrap: anywhere; }
.tokens .prompt { margin: 1rem 0 0; font-size: 0.875rem; }
.tokens .text { margin: 0.25rem 0; white-space: pre-wrap; }
.tokens .text span, .tokens .text mark { color: inherit; padding: 0.15em 0;
    background: rgb(213 94 0 / calc(var(--distance) * 70%)); }
.tokens mark { background: none; color: inherit; text-decoration: underline 2px; text-underline-offset: 3px; }
.tokens .scale { display: inline-block; width: 6rem; height: 0.8em; border: 1px solid var(--line); vertical-align: -0.05em;
    background: linear-gradient(to right, transparent, rgb(213 94 0 / 70%)); }
`;
