/** Templates against what Jinja 3.1 makes of them, as transformers sets it up; their bounds; and where text comes from. */

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compileTemplate } from "../../src/template/template.js";
import type { JsonValue } from "../../src/types.js";

const CLOCK = (): Date => new Date(2024, 5, 5, 14, 7, 9);
const GUARDED = new Set(["<", ">", "[", "]"]);

function render(template: string, data: Readonly<Record<string, JsonValue>> = {}, guarded = GUARDED) {
    return compileTemplate(template, CLOCK).render({ bos_token: "<s>" }, data, guarded);
}

/** Name, template, and what Jinja 3.1.6 renders; `@huggingface/jinja` 0.5.11 alone renders a quarter of them so. */
const RENDERED: readonly (readonly [string, string, string])[] = [
    [
        "loop variables end with their round",
        "{% for i in [1, 2] %}{% if x is defined %}{{ x }}{% endif %}{% set x = i %}{% endfor %}",
        "",
    ],
    [
        "a loop reads what is outside and sets its own",
        "{% set x = 0 %}{% for i in [1, 2] %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
        "01020",
    ],
    [
        "a macro sees the variables of where it stands",
        "{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{% for i in [1] %}{% set x = 3 %}{{ f() }}{% endfor %}",
        "2",
    ],
    [
        "what a round has written before continue stays",
        "{% for i in [1, 2, 3] %}{{ i }}{% if i == 2 %}{% continue %}{% endif %}x{% endfor %}",
        "1x23x",
    ],
    [
        "break keeps the round's text",
        "{% for i in [1, 2, 3] %}{{ i }}{% if i == 2 %}{% break %}{% endif %}x{% else %}none{% endfor %}",
        "1x2",
    ],
    [
        "rounds that are all cut short count as none",
        "{% for i in [1, 2] %}{% continue %}{% else %}none{% endfor %}",
        "none",
    ],
    [
        "a first round that breaks counts as none",
        "{% for i in [1, 2] %}a{% break %}{% else %}none{% endfor %}",
        "anone",
    ],
    [
        "a loop over nothing",
        "{% for i in missing %}x{% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}",
        "nonenone",
    ],
    [
        "loop state",
        "{% for i in ['a', 'b', 'c'] if i != 'b' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('x', 'y') }};{% endfor %}",
        "1021TrueFalse2cx;2110FalseTrue2ay;",
    ],
    [
        "unpacking",
        "{% for a, b in {'x': 1, 'y': 2}.items() %}{{ a }}{{ b }}{% endfor %}{% set c, d = (3, 4) %}{{ c }}{{ d }}",
        "x1y234",
    ],
    [
        "what is no index finds nothing",
        "{% for key in [none, 1.0, [], {}, {'a': 1}.b, 9] %}{% for owner in [{'a': 1}, [1], 'ab', 5, none] %}" +
            "{{ owner[key] is defined }} {% endfor %}{% endfor %}{{ [1, 2][true] }} {{ [1]['a'] is defined }}",
        "False ".repeat(30) + "2 False",
    ],
    ["a text is a list of characters", "{% for c in 'hé😀' %}{{ c }}.{% endfor %}", "h.é.😀."],
    [
        "Python's words for values",
        "{{ none }} {{ true }} {{ 1.0 }} {{ [1, 'a', none, true] }} {{ {'a': 1} }} {{ (1, 'b') }} {{ 'a' ~ none ~ 1 }}",
        "None True 1.0 [1, 'a', None, True] {'a': 1} (1, 'b') aNone1",
    ],
    [
        "quotes in data",
        "{{ [\"it's\", 'say \"x\"', 'both \" and ' ~ \"'\", 'a\\\\b\\n'] }}",
        "[\"it's\", 'say \"x\"', 'both \" and \\'', 'a\\\\b\\n']",
    ],
    [
        "numbers",
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 ** 3 }} {{ 7.5 // 2 }} {{ true + 1 }} {{ 1000.0 }} {{ 0.1 + 0.2 }} {{ 10.0 ** 20 }} {{ 0.00001 * 1.0 }}",
        "3 -4 2 3.5 2.0 8 3.0 2 1000.0 0.30000000000000004 1e+20 1e-05",
    ],
    [
        "equality is that of values",
        "{{ 1 == true }} {{ 1 == 1.0 }} {{ '' == false }} {{ '1' == 1 }} {{ [1] == [1] }} {{ {'a': [1]} == {'a': [1]} }} {{ (1, 2) == [1, 2] }} {{ missing == none }} {{ none == none }} {{ '' != false }}",
        "True True False False True True False False True True",
    ],
    ["order", "{{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 2 >= 1.5 }} {{ 'B' < 'a' }}", "True True True True"],
    [
        "membership",
        "{{ 'b' in 'abc' }} {{ 'x' in ['x'] }} {{ 1 in [true] }} {{ none in [none] }} {{ 'a' in {'a': 1} }} {{ 'x' in missing }} {{ 'x' not in missing }} {{ [1] in [[1]] }}",
        "True True True True True False True True",
    ],
    [
        "what is undefined",
        "[{{ missing }}] {{ missing | length }} [{{ missing | trim }}] {{ missing | list }} [{{ missing | join }}] {{ missing is defined }} {{ missing is none }} {{ none | selectattr('a') | list }} {{ {}.x is undefined }}",
        "[] 0 [] [] [] False False [] True",
    ],
    [
        "integers as keys",
        "{% set budgets = {0: 'none', 512: 'some'} %}{% for k, v in budgets.items() %}{{ k + 1 }}{{ v }} {% endfor %}{{ budgets[512] }}{{ budgets.get(7, 'no') }}",
        "1none 513some someno",
    ],
    [
        "methods before keys after a dot, keys first in brackets",
        "{% set d = {'items': 1, 'get': 2} %}{{ d['items'] }}{{ d.items() | list }}{{ d.get('items') }}",
        "1[('items', 1), ('get', 2)]1",
    ],
    [
        "none is a value",
        "{{ {'a': none}.a is none }} {{ {'a': none}.get('a', 1) }} {{ [none][0] is none }} {{ [none] | first is none }} {% set x = none %}{{ x is none }}",
        "True None True True True",
    ],
    [
        "parts",
        "{{ [1, 2, 3][1:] }} {{ 'abc'[::-1] }} {{ [1, 2, 3][-2:] }} {{ [1, 2, 3][:-1] }} {{ 'abcd'[1:3] }} {{ [1, 2, 3, 4][::2] }} {{ 'a😀b'[1] }} {{ (1, 2, 3)[1:] }} {{ [1, 2][5:] }}",
        "[2, 3] cba [2, 3] [1, 2] bc [1, 3] 😀 (2, 3) []",
    ],
    ["beyond the end", "[{{ 'abc'[5] }}][{{ [1][4] }}][{{ 'abc'[-1] }}]", "[][][c]"],
    [
        "characters at the ends",
        "[{{ '\\n a \\n'.strip('\\n') }}][{{ '\\n a \\n'.lstrip('\\n') }}][{{ 'xxaxx'.rstrip('x') }}][{{ '-=a=-' | trim('-=') }}][{{ '\\ufeffa\\u00a0' | trim }}]",
        "[ a ][ a \n][xxa][a][﻿a]",
    ],
    [
        "splitting",
        "{{ '  a b  '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b '.split(none, 1) }} {{ 'a,,b'.split(',') }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a b c '.rsplit(none, 1) }} {{ 'a b'.partition(' ') }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }}",
        "['a', 'b'] ['a', 'b,c'] ['a,b', 'c'] ['a', 'b '] ['a', '', 'b'] [] [''] [' a b', 'c'] ('a', ' ', 'b') ['a', 'b', 'c']",
    ],
    [
        "replacing",
        "{{ 'aXbX'.replace('X', '-', 1) }} {{ 'abc'.replace('', '-') }} {{ 'aaa' | replace('a', 'bb', 2) }} {{ 'abc'.replace('x', 'y') }}",
        "a-bX -a-b-c- bbbba abc",
    ],
    [
        "looking",
        "{{ 'abc'.find('c') }} {{ 'abc'.find('x') }} {{ '😀c'.find('c') }} {{ 'abab'.rfind('b') }} {{ 'aaa'.count('a') }} {{ 'x'.startswith(('x', 'y')) }} {{ 'abc'.endswith('c') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}",
        "2 -1 1 3 3 True True bc ab",
    ],
    [
        "case",
        "{{ 'hello wORLD' | title }} {{ \"it's\" | title }} {{ \"it's\".title() }} {{ 'hELLO' | capitalize }} {{ 'straße'.upper() }} {{ 'ABC'.lower() }}",
        "Hello World It's It'S Hello STRASSE abc",
    ],
    [
        "what a text is",
        "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ ' \\n'.isspace() }} {{ 'a'.isspace() }}",
        "True False True False",
    ],
    [
        "length in characters",
        "{{ '😀é' | length }} {{ [1, 2] | length }} {{ {'a': 1} | length }} {{ 'ab' | count }}",
        "2 2 1 2",
    ],
    [
        "joining",
        "{{ 'a'.join(['x', 'y']) }} {{ ['x', 1] | join('-') }} {{ [{'n': 1}, {'n': 2}] | join(',', attribute='n') }}",
        "xay x-1 1,2",
    ],
    [
        "formatting",
        "{{ '{}:{a}'.format(1, a='b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{{}}'.format() }}",
        "1:b ba {}",
    ],
    [
        "indenting",
        "{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(2, first=true, blank=true) }}|{{ 'a\\nb\\n' | indent }}|{{ 'a\\nb' | indent('> ') }}",
        "a\n  b\n\n  c|  a\n  b|  a\n  \n  b|a\n    b\n|a\n> b",
    ],
    [
        "indenting what begins with a line end",
        "{{ '\\nx\\ny' | indent(2) }}|{{ '\\n\\nx' | indent(2) }}|{{ '\\nx' | indent(2, true) }}|{{ '\\nx\\n\\ny' | indent(2, false, true) }}|{{ '\\n' | indent(2, true, true) }}|{{ '' | indent(2, true) }}",
        "\n  x\n  y|\n\n  x|  \n  x|\n  x\n  \n  y|  \n  |  ",
    ],
    ["escaping", "{{ '<a href=\"x\">&' | e }}", "&lt;a href=&#34;x&#34;&gt;&amp;"],
    [
        "JSON",
        "{{ {'a': [1, 2.0, none, true, 'é\"\\n'], 'b': {}} | tojson }} {{ {'b': 1, 'a': [1, {}]} | tojson(indent=2) }} {{ {'b': 1, 'a': 'é'} | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }} {{ {1: 2, none: 3} | tojson }} {{ [] | tojson(indent=2) }} {{ [[1]] | tojson(indent='\\t') }} {{ [1] | tojson(indent=0) }}",
        '{"a": [1, 2.0, null, true, "é\\"\\n"], "b": {}} {\n  "b": 1,\n  "a": [\n    1,\n    {}\n  ]\n} {"a":"\\u00e9","b":1} {"1": 2, "null": 3} [] [\n\t[\n\t\t1\n\t]\n] [\n1\n]',
    ],
    [
        "defaults",
        "{{ missing | default('d') }} {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | d('e', boolean=true) }} {{ 0 | default(1) }}",
        "d None d e 0",
    ],
    [
        "numbers from texts",
        "{{ '3' | int }} {{ 'x' | int(5) }} {{ 3.7 | int }} {{ '3.5' | float }} {{ 3.7 | round }} {{ 3.14159 | round(2) }} {{ -3 | abs }} {{ 2.5 | round }} {{ 7 | round }} {{ 'ff' | int(0, 16) }}",
        "3 5 3 3.5 4.0 3.14 3 2.0 7 255",
    ],
    [
        "lists",
        "{{ [1, 2, 3] | sum }} {{ [1, 3, 2] | max }} {{ 'aBb' | max }} {{ [2, 1] | min }} [{{ [] | first }}] {{ [1, 2] | last }} {{ 'abc' | first }} {{ 'abc' | reverse }} {{ [1, 2] | reverse | list }} {{ ['a', 'b', 'A'] | unique | list }}",
        "6 3 B 1 [] 2 a cba [2, 1] ['a', 'b']",
    ],
    [
        "sorting",
        "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [{'n': 2}, {'n': 1}] | sort(attribute='n') }} {{ [1, 2] | sort(reverse=true) }} {{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }}",
        "[1, 2, 3] ['A', 'b', 'c'] ['A', 'b'] [{'n': 1}, {'n': 2}] [2, 1] [('A', 2), ('b', 1)] [('b', 1), ('a', 2)]",
    ],
    [
        "choosing",
        "{{ [1, 2, 3] | select('odd') | list }} {{ [1, 2] | select('equalto', 2) | list }} {{ ['a', ''] | select | list }} {{ [{'a': 1}, {}] | selectattr('a') | list }} {{ [{'a': 1}, {}] | rejectattr('a', 'defined') | list }} {{ [1, 2, 3] | reject('in', [2]) | list }} {{ [{'r': 'x'}, {'r': 'y'}] | selectattr('r', '==', 'y') | map(attribute='r') | list }}",
        "[1, 3] [2] ['a'] [{'a': 1}] [{}] [1, 3] ['y']",
    ],
    [
        "mapping",
        "{{ [1, 2] | map('string') | list }} {{ ['a'] | map('upper') | list }} {{ [{'a': {'b': 1}}, {}] | map(attribute='a.b', default=0) | list }} {{ [[1, 2], [3, 4]] | map('first') | list }}",
        "['1', '2'] ['A'] [1, 0] [1, 3]",
    ],
    [
        "tests",
        "{{ 'a' is iterable }} {{ {} is mapping }} {{ {} is sequence }} {{ 1 is sequence }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ missing is iterable }} {{ 'a' is string }} {{ none is iterable }} {{ true is boolean }} {{ 2 is even }} {{ 3 is odd }} {{ 1 is not none }} {{ raise_exception is callable }} {{ 'AB' is upper }} {{ 'Ab' is lower }} {{ false is false }} {{ 0 is false }}",
        "True True True False True False True True True False True True True True True True False True False",
    ],
    [
        "ranges",
        "{{ range(3) | list }} {{ range(1, 7, 2) | list }} {{ range(3, 0, -1) | list }} {{ range(3) | length }}",
        "[0, 1, 2] [1, 3, 5] [3, 2, 1] 3",
    ],
    [
        "namespaces",
        "{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}[{{ ns.b }}]",
        "4[]",
    ],
    [
        "blocks of text",
        "{% set x %}hi {{ 1 }}{% endset %}{{ x }}{% filter upper %}a{{ x }}{% endfilter %}",
        "hi 1AHI 1",
    ],
    [
        "blocks of text keep to themselves what is set in them",
        "{% set x = 1 %}{% filter upper %}{% set x = 2 %}{% set z = 2 %}a{{ x }}{% endfilter %}{{ x }}{{ z is defined }}{% set y %}{% set x = 3 %}b{{ x }}{% endset %}{{ y }}{{ x }}",
        "A21Falseb31",
    ],
    ["conditional values", "{{ 1 if false }}|{{ 'a' if none else 'b' }}|{{ 'a' if 1 else 'b' if 2 else 'c' }}", "|b|a"],
    [
        "macros",
        "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }} {{ m(1, 3, 4, x=5) }} {{ m(b=1) }}",
        "12(){} 13(4,){'x': 5} 1(){}",
    ],
    ["call blocks", "{% macro m(a) %}[{{ caller(a) }}]{% endmacro %}{% call(x) m(3) %}<{{ x }}>{% endcall %}", "[<3>]"],
    ["spreading", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}", "1234"],
    [
        "repeating",
        "{{ 'ab' * 3 }} {{ [1] * 2 }} {{ 2 * 'x' }} {{ [1] + [2] }} {{ (1, 2) + (3, 4) }}",
        "ababab [1, 1] xx [1, 2] (1, 2, 3, 4)",
    ],
    [
        "dictionaries",
        "{{ dict(a=1) }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }} {{ {'a': 1} | items | list }} {{ {'a': 1}.get('b') }}",
        "{'a': 1} ['a'] [1] [('a', 1)] None",
    ],
    [
        "logic gives values",
        "{{ 'a' or 'b' }} {{ '' or 'b' }} {{ 'a' and 'b' }} {{ [] and 'b' }} {{ not '' }} {{ not missing }}",
        "a b b [] True True",
    ],
    [
        "white space around blocks",
        "a\n  {% if true %}\n  b\n  {%- endif -%}\n  c\n{# note #}\nd {{- 'e' -}} f\n",
        "a\n  bc\ndef",
    ],
    ["generation marks", "a{% generation %}b{% endgeneration %}c", "abc"],
    [
        "dates",
        "{{ strftime_now('%d %b %Y, %A %B %-d %H:%M:%S %p %y %%') }}",
        "05 Jun 2024, Wednesday June 5 14:07:09 PM 24 %",
    ],
];

/** What Jinja refuses, too. */
const REFUSED: readonly (readonly [string, string])[] = [
    ["undefined in a sum", "{{ 'a' + missing }}"],
    ["an attribute of what is undefined", "{{ {}.a.b }}"],
    ["a call of what is undefined", "{{ {}.a() }}"],
    ["a text and a list", "{{ 'a' + [1] }}"],
    ["a text and a number", "{{ 'a' + 1 }}"],
    ["a text and none", "{{ 'a' + none }}"],
    ["numbers and texts have no order", "{{ 1 < 'a' }}"],
    ["a loop over none", "{% for x in none %}{% endfor %}"],
    ["undefined as JSON", "{{ missing | tojson }}"],
    ["changing a list", "{{ [].append(1) }}"],
    ["too many arguments of a macro", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}"],
    ["an argument that a macro does not have", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=2) }}"],
    ["a template that refuses", "{{ raise_exception('roles must alternate') }}"],
    ["an unknown filter", "{{ 1 | nonsense }}"],
    ["a missing method", "{{ 'a'.nonsense() }}"],
];

describe("as Python's Jinja", () => {
    test.each(RENDERED)("%s", (_name, template, expected) => {
        expect(render(template).text).toBe(expected);
    });

    test.each(REFUSED)("refuses %s", (_name, template) => {
        expect(() => render(template)).toThrow();
    });
});

test("integers as keys, which templates use for budgets", () => {
    const template =
        "{% for most, effort in {0: 'none', 512: 'some'}.items() %}{% if budget <= most %}{{ effort }}{% endif %}{% endfor %}";
    expect(render(template, { budget: 100 }).text).toBe("some");
});

test("a loop whose rounds do nothing any more says what it would say after all of them", () => {
    const given = { list: [1, 2, 3, 4] };
    for (const [template, text] of [
        // What is sought is found in the second round.
        [
            "{% for x in list %}{% if not ns.found %}{{ x }}{% if x == 2 %}{% set ns.found = true %}{% endif %}{% endif %}{% endfor %}",
            "12",
        ],
        // These conditions depend on the round, in a way or another.
        ["{% for x in list %}{% if loop.last %}{{ x }}{% endif %}{% endfor %}", "4"],
        ["{% for found in list %}{% if not found == 1 %}{{ found }}{% endif %}{% endfor %}", "234"],
        ["{% for x in list %}{% if ns.found %}a{% else %}{{ x }}{% endif %}{% endfor %}", "1234"],
        ["{% for x in list %}{% if ns.found %}a{% endif %}{{ x }}{% endfor %}", "1234"],
        ["{% for x in list %}{% if ns.found %}a{% endif %}{% else %}none{% endfor %}", ""],
        ["{% for x in [] %}{% if ns.found %}a{% endif %}{% else %}none{% endfor %}", "none"],
        ["{% for x, found in [(1, 0), (2, 1)] %}{% if found %}{{ x }}{% endif %}{% endfor %}", "2"],
    ] as const)
        expect(render(`{% set ns = namespace(found=false) %}${template}`, given).text).toBe(text);
});

describe("data", () => {
    test("is what JSON can say", () => {
        const data = { list: [1, 1.5, null, true, "a"], map: { key: "b", left: undefined } };
        expect(render("{{ list }} {{ map }} {{ map.left is defined }}", data).text).toBe(
            "[1, 1.5, None, True, 'a'] {'key': 'b'} False",
        );
    });

    test("that says more is refused", () => {
        const circular: Record<string, JsonValue> = {};
        circular["self"] = circular;
        expect(() => render("a", circular)).toThrow(/levels/);
        expect(() => render("a", { call: (() => 1) as unknown as JsonValue })).toThrow(/JSON/);
    });
});

/** Templates that would run for ever, fill the memory, or overflow a stack. */
const HOSTILE: Readonly<Record<string, string>> = {
    "a huge range": "{{ range(1000000000) }}",
    "a loop over a huge range": "{% for i in range(1000000000) %}x{% endfor %}",
    "loops within loops": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "a filter within loops": "{% for i in range(100000) %}{% set x = range(100000) | list %}{% endfor %}",
    "doubling a text":
        "{% set n = namespace(a='xx') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}{{ n.a }}",
    "doubling in blocks":
        "{% macro m(x, n) %}{% if n > 0 %}{{ m(x, n - 1) }}{{ m(x, n - 1) }}{% else %}{{ x }}{% endif %}{% endmacro %}{{ m('x', 99) }}",
    "a list of itself, doubled, as text":
        "{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
    "a list of itself, doubled, as JSON":
        "{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a | tojson }}",
    "a list of itself, doubled, compared":
        "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
    "a list of itself, doubled, in an error":
        "{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ raise_exception(n.a) }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a namespace in itself": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "a text many times": "{{ 'x' * 1000000000 }}",
    "a list many times": "{{ [1] * 1000000000 }}",
    "much text": "{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
    "a long text in a long text": "{% set a = 'a' * 4000000 %}{% set b = 'b' ~ 'a' * 2000000 %}{{ b in a }}",
    "a long text replaced": "{% set a = 'a' * 1000000 %}{{ a.replace('a', a) }}",
    "splitting again and again":
        "{% set a = 'a b' * 1000000 %}{% for i in range(1000) %}{% set x = a.split() %}{% endfor %}",
    "stripping again and again":
        "{% set a = 'ab' * 2000000 %}{% for i in range(1000) %}{% set x = a.strip('ab') %}{% endfor %}",
    "sorting long texts": "{% set l = ['a' * 1000000] * 90000 %}{{ l | sort | length }}",
    "joining long texts": "{% set a = 'a' * 1000000 %}{% set l = [a] * 90000 %}{{ l | join(a) }}",
    "a long text as a key":
        "{% set a = 'a' * 4000000 %}{% set d = {'k': 1} %}{% for i in range(60000) %}{% set x = d[a] %}{% endfor %}",
    "long texts compared":
        "{% set a = 'a' * 2000000 %}{% set b = 'a' * 2000000 %}{% for i in range(60000) %}{% set x = a == b %}{% endfor %}",
    "a long text in order": "{% set a = 'a' * 4000000 %}{% for i in range(60000) %}{% set x = 'a' < a %}{% endfor %}",
    "a long text as a number":
        "{% set a = '1' * 4000000 %}{% for i in range(60000) %}{% set x = a | int %}{% endfor %}",
    "a long text as an argument":
        "{% set a = '1' * 4000000 %}{% for i in range(60000) %}{% set x = 'a'.strip(a) %}{% endfor %}",
    "comparing each with each": "{{ range(100000) | unique | length }}",
    "wide indentation": "{{ 'a\\nb' | indent(1000000000) }}",
    "wide indentation of JSON": "{{ [[1]] | tojson(indent=500000000) }}",
    "a number without end": `{{ ${"1".repeat(1000)} }}`,
    "a power": "{{ 10 ** 1000 }}",
    "a long list of lists": `{{ ${"[".repeat(50_000)}${"]".repeat(50_000)} }}`,
    parentheses: `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`,
    "conditions within conditions": `${"{% if 1 %}".repeat(12_000)}${"{% endif %}".repeat(12_000)}`,
    "a long template": "x".repeat(300_000),
    "much white space": `${" ".repeat(200_000)}{{ 1 }}`,
    "a macro that is looked through again and again": `{% for i in range(100000) %}{% macro m() %}${"{{ 1 }}".repeat(20_000)}{% endmacro %}{{ m() }}{% endfor %}`,
};

describe("a hostile template ends with an error", () => {
    test.each(Object.entries(HOSTILE))("%s", (_name, template) => {
        expect(() => render(template)).toThrow(
            /steps that a template may take|more text than a template may|itself too often|nests too deeply|at most 100000|too large|characters|blanks in a row/,
        );
    });
});

test("what a long conversation takes is not too much", () => {
    const turns = ["user", "assistant"].map((role) => ({ role, content: "word ".repeat(200) }));
    const messages = Array.from({ length: 2000 }, (_, index) => turns[index % 2] as JsonValue);
    const template =
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}" +
        "{{ '[' ~ m.role ~ ']' ~ m.content | trim | replace('word', 'term') ~ '\\n' }}{% endfor %}";
    expect(render(template, { messages }).text.length).toBeGreaterThan(2e6);
});

test("templates may look through all messages behind each message", () => {
    const messages = Array.from({ length: 1000 }, (_, index) => ({
        role: index % 3 === 0 ? "assistant" : "tool",
        content: `done ${index}`,
    }));
    const template =
        "{% for m in messages %}{% set ns = namespace(tools=0) %}{% for f in messages[loop.index:] %}" +
        "{% if f.role == 'tool' and not (f.content is string and f.content.startswith('failed')) %}" +
        "{% set ns.tools = ns.tools + 1 %}{% endif %}{% endfor %}{{ m.content ~ ': ' ~ ns.tools ~ '\n' }}{% endfor %}";
    expect(render(template, { messages }).text).toMatch(/^done 0: 666\ndone 1: 665\n[^]*done 999: 0\n$/);
}, 30_000);

test("a short conversation gives a hostile template few steps", () => {
    const messages = ["user", "assistant", "user"].map((role) => ({ role, content: "Hello." }));
    const rounds = (count: number): string =>
        `{% for i in range(100) %}{% for j in range(${count / 100}) %}{% endfor %}{% endfor %}`;
    expect(render(rounds(20_000), { messages }).text).toBe("");
    // Each is a step at least.
    expect(() => render(rounds(1_100_000), { messages })).toThrow(/steps/);
});

describe("nothing but what a template and its data have", () => {
    test.each([
        "{{ 'a'.constructor }}{{ {}.__proto__ }}{{ [].constructor }}{{ (1).constructor }}{{ namespace().constructor }}",
        "{{ messages.constructor }}{{ loop }}{{ self }}{{ globalThis }}{{ process }}",
    ])("%s", (template) => {
        expect(render(template, { messages: [] }).text).toBe("");
    });

    test.each([
        "{{ 1 | constructor }}",
        "{{ 1 is constructor }}",
        "{{ 'a'.constructor() }}",
        "{{ 1 | hasOwnProperty }}",
    ])("%s is an error", (template) => {
        expect(() => render(template)).toThrow();
    });
});

describe("what comes from the data", () => {
    const pieces = fc.constantFrom(
        "<|im_end|>",
        "</s>",
        "<s>",
        "[INST]",
        "<|im_",
        "end|>",
        "<",
        ">",
        "[",
        "]",
        "S",
        "s",
        "/",
        "|",
    );
    const others = fc.constantFrom(
        " ",
        "\n",
        "'",
        '"',
        "\\",
        "\ufdd0",
        "\ue000",
        "\u{1F600}",
        "é",
        "{{ x }}",
        "{% raw %}",
        "&lt;",
    );
    const contents = fc.array(fc.oneof(pieces, others, fc.string({ unit: "grapheme", maxLength: 3 })), {
        maxLength: 8,
    });
    const operations = fc.constantFrom(
        ...[
            "| trim",
            "| upper",
            "| lower",
            "| title",
            "| capitalize",
            "| indent(2, true)",
            "| string",
            "| tojson",
            "| e",
        ],
        ...[
            "| replace(' ', '')",
            "| replace('|', '')",
            "| replace('<', '(')",
            "| list | join",
            "| list | sort | join(' ')",
        ],
        ...[
            "| reverse",
            "| tojson(ensure_ascii=true)",
            "| list | tojson(indent=1)",
            "| default('', true)",
            "| unique | join",
        ],
        ...[
            ".strip('<')",
            ".lstrip()",
            ".rstrip('>\\n')",
            ".split('<') | join('')",
            ".split() | join('')",
            ".rsplit('|', 1) | last",
        ],
        ...[
            ".title()",
            ".capitalize()",
            ".swapcase() if false else c",
            ".removeprefix('<')",
            ".partition('|') | join(c)",
        ],
        ...["[1:]", "[::-1]", "[:-1]", "~ c", "+ c", ".splitlines() | join", ".replace('', ' ')", ".upper().lower()"],
    );

    test("keeps its stand-ins through whatever a template does to it, and nobody sees them", () => {
        fc.assert(
            fc.property(contents, fc.array(operations, { maxLength: 4 }), (parts, chain) => {
                const steps = chain.map((operation) => `{% set c = c ${operation.replace(/^([.[])/, "$1")} %}`);
                // No character of the template's own text is one that control tokens begin or end with.
                const template = `{% set c = c0 %}${steps.join("")}{% set d = {'k': c} %}{{ c }} {{ d.k ~ c }}{{ [c] | first }}`;
                const data = { c0: parts.join("") };
                const { marked, text, standIns } = render(template, data);
                expect(
                    [...marked].filter((character) => GUARDED.has(character) && !isOfJson(chain, character)),
                ).toEqual([]);
                expect(standIns.plain(marked)).toBe(text);
                expect(render(template, data, new Set()).text).toBe(text);
            }),
            { numRuns: 500 },
        );
    });

    /** `tojson` of a list writes brackets of its own. */
    function isOfJson(chain: readonly string[], character: string): boolean {
        return "[]".includes(character) && chain.some((operation) => operation.includes("list | tojson"));
    }

    test("in keys and in lists of data, too", () => {
        const { marked } = render("{{ d }}{{ d | tojson }}{{ l | join }}", { d: { "<k>": "<v>" }, l: ["<", ">"] });
        expect(marked).not.toMatch(/[<>]/);
    });

    test("of letters alone: both cases are told apart", () => {
        const guarded = new Set(["h", "H"]);
        for (const filter of ["lower", "upper", "title", "capitalize"]) {
            expect(render(`{{ c | ${filter} }}`, { c: "hello HELLO" }, guarded).marked).not.toMatch(/h/i);
        }
    });

    test("is found by what it stands for", () => {
        const template = "{% if '</think>' in c %}{{ c.split('</think>')[-1].lstrip('\\n') }}{% endif %}";
        const { text, marked } = render(template, { c: "<think>hm</think>\n\n<b>" });
        expect(text).toBe("<b>");
        expect(marked).not.toMatch(/[<>]/);
        expect(
            render("{{ c == '<s>' }}{{ c.startswith('<') }}{{ d['<'] }}{{ d[c] }}", {
                c: "<s>",
                d: { "<": 1, "<s>": 2 },
            }).text,
        ).toBe("TrueTrue12");
    });

    test("which uses all private characters is refused", () => {
        const all = Array.from({ length: 0xf900 - 0xe000 }, (_, index) => String.fromCharCode(0xe000 + index)).join("");
        const noncharacters = Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfdd0 + index)).join("");
        expect(render("{{ c }}", { c: `<${all}` }).text).toBe(`<${all}`);
        expect(() => render("{{ c }}", { c: all + noncharacters })).toThrow(/private characters/);
    });
});
