/** Templates that cannot be parsed: what is wrong, near what, in which line, and never in the words of the parser. */

import { expect, test } from "@jest/globals";
import { explainSyntax } from "../../src/template/syntax-errors.js";
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

/** The longest template that is allowed: as often as it fits, between a head and a tail. */
function longest(unit: string, tail: string, head = ""): string {
    return head + unit.repeat(Math.floor(((1 << 18) - head.length - tail.length) / unit.length)) + tail;
}

/** Broken ones of the greatest length, and what is said of them; only a part of what is quoted. */
const HOSTILE: readonly (readonly [name: string, template: string, line: number, near: string, what: string])[] = [
    ["expressions before a character", longest("{{a}}\n", "{{ ? }}"), 43690, "{{ ? }}", "? has no meaning there"],
    ["statements before a character", longest("{% set a = 1 %}\n", "{% ? %}"), 16384, "{% ? %}", "? has no"],
    ["comments before a character", longest("{##}\n", "{{ ? }}"), 52428, "{{ ? }}", "? has no meaning there"],
    ["lines before a tag", longest("\nx", "{{ ? }}"), 131069, "{{ ? }}", "? has no meaning there"],
    ["a character in each tag", longest("{{?}}\n", ""), 1, "{{?}}", "? has no meaning there"],
    ["a quotation mark behind each tag", longest('{{ \\"', ""), 1, '{{ \\"{{ \\"', "a text in quotes has no end"],
    ["a text with tags in it", longest("{{ \\' ", "", "{{ '"), 1, "{{ '{{ \\'", "a text in quotes has no end"],
    ["a comment with tags in it", longest("{#", ""), 1, "{#{#", "it has no end"],
    ["expressions before a word", longest("{{a}}\n", "{{ a b }}"), 43690, "{{ a b }}", "}} is missing in front of b"],
    [
        "bodies before an end",
        longest("{% if a %}{% endif %}\n", "{% endif %}"),
        11916,
        "{% endif %}",
        "nothing is open",
    ],
    ["a long word", longest("b", " }}", "{{ a "), 1, "{{ a bbb", `}} is missing in front of ${"b".repeat(60)} …`],
    ["a long statement", longest("b", " %}", "{% "), 1, "{% bbb", `there is no statement ${"b".repeat(60)} …`],
    ["a long sum", longest("a+", "}}", "{{ "), 1, "{{ a+a+", "something is missing in front of }}"],
    ["a long list", longest("1,", "}}", "{{ ["), 1, "{{ [1,1,", "something is missing in front of }}"],
];

/** Time of the processor, in microseconds. */
function timeOf(act: () => void): number {
    const before = process.cpuUsage();
    act();
    const { user, system } = process.cpuUsage(before);
    return user + system;
}

test("what is wrong with a long template takes about as long to find as a sound one to read", () => {
    const sound = longest("{{a}}\n", "");
    const bound = 20 * timeOf(() => compileTemplate(sound));
    const taken = HOSTILE.map(([name, template, line, near, what]) => {
        const time = timeOf(() => {
            let message = "";
            try {
                compileTemplate(template);
            } catch (error) {
                ({ message } = error as Error);
            }
            expect(message.startsWith(`line ${line}, near ${near}`)).toBe(true);
            expect(message).toContain(`: ${what}`);
            expect(message.length).toBeLessThan(200);
        });
        return { name, isSlow: time > bound };
    });
    expect(taken.filter(({ isSlow }) => isSlow)).toEqual([]);
}, 60_000);

test.each(HOSTILE)("nothing of it is read more than once again: %s", (_name, template) => {
    let read = 0;
    const fails = (part: string): boolean => {
        read += part.length;
        return false;
    };
    explainSyntax(template, { error: new SyntaxError(), tokens: undefined, furthest: 0, fails });
    expect(read).toBeLessThanOrEqual(template.length);
});
