/** Templates that cannot be parsed: what is wrong, near what, in which line, and never in the words of the parser. */

import { expect, test } from "@jest/globals";
import { compileTemplate } from "../../src/template/template.js";

const LONG = "a + ".repeat(30);

/** A template, the line, the tag that is quoted, and what is said of it. */
const BROKEN: readonly (readonly [template: string, line: number, near: string, what: string])[] = [
    ["a\n{% if x %}b", 2, "{% if x %}", "it has no {% endif %}"],
    ["{% for m in a %}\n{% if m %}\n{{ m }}{% endif %}", 1, "{% for m in a %}", "it has no {% endfor %}"],
    ["{% set x %}a", 1, "{% set x %}", "it has no {% endset %}"],
    [
        "{% if x %}\n{% for m in messages %}{{ m }}\n{% endif %}",
        3,
        "{% endif %}",
        "endif does not belong to the {% for %} of line 2, which is open there",
    ],
    ["a\n\n{%- endfor -%}", 3, "{%- endfor -%}", "nothing is open that endfor could belong to"],
    ["{% else %}", 1, "{% else %}", "nothing is open that else could belong to"],
    ["{% set x = 1 %}{% endset %}", 1, "{% endset %}", "nothing is open that endset could belong to"],
    ["hi\n{{ m[0] content }}", 2, "{{ m[0] content }}", "}} is missing in front of content"],
    ["{{ a\n+ }}", 1, "{{ a + }}", "something is missing in front of }}"],
    ["{{ 'a?' }}\n{{ a ? b }}", 2, "{{ a ? b }}", "? has no meaning there"],
    ["{{ a", 1, "{{ a", "it has no end: %}, }} or #} is missing"],
    ["{{ b }}\n{# never", 2, "{# never", "it has no end: %}, }} or #} is missing"],
    ["{{ b }}\n{{ 'abc }}", 2, "{{ 'abc }}", "a text in quotes has no end"],
    ["{{ 'a\\qb' }}", 1, "{{ 'a\\qb' }}", "\\q is no escape sequence; write \\\\ for a backslash"],
    ["{{ 'a\\xzz' }}", 1, "{{ 'a\\xzz' }}", "\\xzz is no escape sequence; write \\\\ for a backslash"],
    ["{{ '}}' }}\n{% include 'a' %}", 2, "{% include 'a' %}", "there is no statement include"],
    ["{% for x of y %}{% endfor %}", 1, "{% for x of y %}", "in is missing behind the variable of the loop"],
    ["{{ {'a' 1} }}", 1, "{{ {'a' 1} }}", ": is missing in front of 1"],
    ["{{ (1 }}", 1, "{{ (1 }}", ") is missing in front of }}"],
    ["{{ x[] }}", 1, "{{ x[] }}", "what stands in [ ] is no index and no range"],
    ["{% macro f(a, a) %}{% endmacro %}", 1, "{% macro f(a, a) %}", "a parameter has the name of another one"],
    ["{# %} #}{% generation %}{{ a b }}{% endgeneration %}", 1, "{{ a b }}", "}} is missing in front of b"],
    [`{{ ${LONG}}}`, 1, `{{ ${LONG}`.slice(0, 60) + " …", "something is missing in front of }}"],
    ["{% if a %}{{ b b }}", 1, "{{ b b }}", "}} is missing in front of b"],
    ["{%- %}", 1, "{%- %}", "something is missing in front of %}"],
];

test.each(BROKEN)("%j", (template, line, near, what) => {
    expect(() => compileTemplate(template)).toThrow(
        expect.objectContaining({ message: `line ${line}, near ${near}: ${what}` }),
    );
});
