/**
 * Evaluates the syntax tree of a template as Python's Jinja does, with everything counted. The evaluator of
 * `@huggingface/jinja` knows neither of bounds nor where text comes from, and has values, scopes and methods of its own.
 */

import { needText } from "./arguments.js";
import type { Context } from "./context.js";
import { applyFilter } from "./filters.js";
import { getAttribute, getItem, slice } from "./attributes.js";
import { binary, negative } from "./operators.js";
import {
    mentions,
    type CallBlock,
    isExpression,
    steadyCondition,
    type Expression,
    type For,
    type Macro,
    type Parameter,
    type Set,
    type Statement,
} from "./syntax.js";
import { test } from "./tests.js";
import {
    fail,
    Float,
    isTrue,
    Namespace,
    NONE,
    toKey,
    Tuple,
    typeName,
    Undefined,
    type Callable,
    type Dictionary,
    type Named,
    type Value,
} from "./values.js";

/** Variables by name, and where else to look for them. */
interface Scope {
    readonly variables: Map<string, Value>;
    readonly outer: Scope | undefined;
}

/** Why the statements of a block were not gone through to their end. */
type Exit = "break" | "continue" | undefined;

/** The text that is being made. */
interface Sink {
    text: string;
}

/** What a round of a loop costs before anything is done in it. */
const STEPS_PER_ROUND = 10;

const NONE_NAMED: Named = new Map();

/** @returns the text, with stand-ins. @throws TemplateFault, TooMuchWork, and RangeError when it calls itself without end */
export function evaluateTemplate(
    program: readonly Statement[],
    globals: ReadonlyMap<string, Value>,
    context: Context,
): string {
    const { work, values } = context;

    function renderBlock(body: readonly Statement[], scope: Scope): string {
        const sink: Sink = { text: "" };
        run(body, scope, sink);
        return sink.text;
    }

    /** What is set in it is gone behind it. */
    function renderInner(body: readonly Statement[], outer: Scope): string {
        return renderBlock(body, { variables: new Map(), outer });
    }

    function run(body: readonly Statement[], scope: Scope, sink: Sink): Exit {
        for (const statement of body) {
            const exit = execute(statement, scope, sink);
            if (exit !== undefined) return exit;
        }
        return undefined;
    }

    function write(text: string, sink: Sink): void {
        work.write(text.length);
        sink.text += text;
    }

    function execute(statement: Statement, scope: Scope, sink: Sink): Exit {
        work.step();
        if (isExpression(statement)) {
            write(values.text(value(statement, scope)), sink);
            return undefined;
        }
        switch (statement.type) {
            case "Comment":
                return undefined;
            case "Break":
                return "break";
            case "Continue":
                return "continue";
            case "If":
                return run(isTrue(value(statement.test, scope)) ? statement.body : statement.alternate, scope, sink);
            case "For":
                return loop(statement, scope, sink);
            case "Set":
                return assign(statement, scope);
            case "Macro":
                scope.variables.set(statement.name.value, macro(statement.name.value, statement, scope));
                return undefined;
            case "CallStatement":
                return callBlock(statement, scope, sink);
            case "FilterStatement": {
                const text = renderInner(statement.body, scope);
                write(values.text(filter(text, statement.filter, scope)), sink);
                return undefined;
            }
        }
    }

    function loop({ loopvar, iterable, body, defaultBlock }: For, scope: Scope, sink: Sink): Exit {
        const [source, condition] = iterable.type === "SelectExpression" ? [iterable.lhs, iterable.test] : [iterable];
        const enter = (item: Value): Scope => {
            const inner: Scope = { variables: new Map(), outer: scope };
            unpack(loopvar, item, inner);
            return inner;
        };
        const all = values.items(value(source, scope));
        if (condition !== undefined) work.step(STEPS_PER_ROUND * all.length);
        const items = condition === undefined ? all : all.filter((item) => isTrue(value(condition, enter(item))));
        const guard = steadyCondition(body, loopvar);
        let isEmpty = true;
        for (const [index, item] of items.entries()) {
            work.step(STEPS_PER_ROUND);
            if (guard !== undefined && !isTrue(value(guard, scope))) {
                isEmpty = false;
                break;
            }
            const inner = enter(item);
            inner.variables.set("loop", new Namespace(loopState(items, index)));
            const exit = run(body, inner, sink);
            // As in Jinja, a round that was cut short does not count here.
            if (exit === "break") break;
            if (exit === undefined) isEmpty = false;
        }
        return isEmpty ? run(defaultBlock, scope, sink) : undefined;
    }

    function loopState(items: readonly Value[], index: number): Map<string, Value> {
        const { length } = items;
        const neighbour = (at: number): Value => items[at] ?? new Undefined("there is no such item");
        return new Map<string, Value>([
            ["index", index + 1],
            ["index0", index],
            ["revindex", length - index],
            ["revindex0", length - index - 1],
            ["first", index === 0],
            ["last", index === length - 1],
            ["length", length],
            ["previtem", neighbour(index - 1)],
            ["nextitem", neighbour(index + 1)],
            ["cycle", (args) => args[index % args.length] ?? fail("cycle needs something to go through")],
        ]);
    }

    function assign({ assignee, value: expression, body }: Set, scope: Scope): undefined {
        const assigned = expression === null ? renderInner(body, scope) : value(expression, scope);
        if (assignee.type === "MemberExpression") {
            const owner = value(assignee.object, scope);
            if (!(owner instanceof Namespace)) fail("only attributes of a namespace can be set");
            const { property } = assignee;
            if (property.type !== "Identifier") fail("only attributes of a namespace can be set");
            owner.attributes.set(property.value, assigned);
        } else {
            unpack(assignee, assigned, scope);
        }
    }

    function unpack(target: Expression, item: Value, scope: Scope): void {
        if (target.type === "Identifier") {
            scope.variables.set(target.value, item);
            return;
        }
        if (target.type !== "TupleLiteral") fail("only names can be given a value");
        const items = values.items(item);
        if (items.length !== target.value.length)
            fail(`there are ${items.length} values to be given to ${target.value.length} names`);
        target.value.forEach((name, index) => unpack(name, items[index] ?? NONE, scope));
    }

    function macro(name: string, { args: parameters, body }: Pick<Macro, "args" | "body">, outer: Scope): Callable {
        work.step(parameters.length);
        const takesMore = uses(body, "varargs");
        const takesNames = uses(body, "kwargs");
        return (args, named) => {
            const scope: Scope = { variables: new Map(), outer };
            const rest = new Map(named);
            if (args.length > parameters.length && !takesMore)
                fail(`the macro ${name} takes at most ${parameters.length} arguments`);
            for (const [index, parameter] of parameters.entries()) {
                const key = parameter.type === "Identifier" ? parameter.value : parameter.key.value;
                const given = args[index] ?? rest.get(key);
                rest.delete(key);
                scope.variables.set(key, given ?? defaultOf(parameter, scope, key));
            }
            const caller = rest.get("caller");
            rest.delete("caller");
            if (caller !== undefined) scope.variables.set("caller", caller);
            const [unknown] = rest.keys();
            if (unknown !== undefined && !takesNames) fail(`the macro ${name} has no argument named ${unknown}`);
            if (takesMore) scope.variables.set("varargs", new Tuple(args.slice(parameters.length)));
            if (takesNames) scope.variables.set("kwargs", rest);
            return renderBlock(body, scope);
        };
    }

    const used = new Map<unknown, Map<string, boolean>>();
    /** Whether a macro names one of the variables that take what its parameters do not. */
    function uses(body: readonly Statement[], name: string): boolean {
        const known = used.get(body) ?? new Map<string, boolean>();
        used.set(body, known);
        const found = known.get(name) ?? mentions(body, name, work.step);
        known.set(name, found);
        return found;
    }

    function defaultOf(parameter: Parameter, scope: Scope, name: string): Value {
        return parameter.type === "Identifier"
            ? new Undefined(`nothing was given for ${name}`)
            : value(parameter.value, scope);
    }

    function callBlock({ call, callerArgs, body }: CallBlock, scope: Scope, sink: Sink): undefined {
        const caller = macro("caller", { args: callerArgs ?? [], body }, scope);
        const callee = callable(value(call.callee, scope));
        const [args, named] = bindArguments(call.args, scope);
        write(values.text(callee(args, new Map([...named, ["caller", caller]]))), sink);
    }

    function callable(callee: Value): Callable {
        if (typeof callee === "function") return callee;
        if (callee instanceof Undefined) fail(callee.reason);
        return fail(`a value of the type ${typeName(callee)} cannot be called`);
    }

    function bindArguments(expressions: readonly Expression[], scope: Scope): [Value[], Named] {
        const args: Value[] = [];
        let named: Map<string, Value> | undefined;
        for (const expression of expressions) {
            if (expression.type === "KeywordArgumentExpression") {
                (named ??= new Map()).set(expression.key.value, value(expression.value, scope));
            } else if (expression.type === "SpreadExpression") {
                const items = values.items(value(expression.argument, scope));
                work.step(items.length);
                for (const item of items) args.push(item);
            } else if (expression.type === "KeywordSpreadExpression") {
                const more = value(expression.argument, scope);
                if (!(more instanceof Map)) return fail("what stands after ** must be a dictionary");
                work.step(more.size);
                for (const [key, each] of more) (named ??= new Map()).set(needText("a named argument", key), each);
            } else {
                args.push(value(expression, scope));
            }
        }
        return [args, named ?? NONE_NAMED];
    }

    function filter(operand: Value, called: Expression, scope: Scope): Value {
        if (called.type === "Identifier") return applyFilter(context, operand, called.value, [], NONE_NAMED);
        if (called.type !== "CallExpression" || called.callee.type !== "Identifier")
            return fail("a filter has to be named");
        const [args, named] = bindArguments(called.args, scope);
        return applyFilter(context, operand, called.callee.value, args, named);
    }

    function lookUp(name: string, scope: Scope): Value {
        for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
            work.step();
            const found = at.variables.get(name);
            if (found !== undefined) return found;
        }
        return globals.get(name) ?? new Undefined(`"${name}" is undefined`);
    }

    function value(node: Expression, scope: Scope): Value {
        work.step();
        switch (node.type) {
            case "StringLiteral":
                return node.value;
            case "IntegerLiteral":
                return Number.isSafeInteger(node.value) ? node.value : fail("an integer is too large");
            case "FloatLiteral":
                return new Float(node.value);
            case "ArrayLiteral":
                return node.value.map((item) => value(item, scope));
            case "TupleLiteral":
                return new Tuple(node.value.map((item) => value(item, scope)));
            case "ObjectLiteral":
                return dictionary(node.value, scope);
            case "Identifier":
                return lookUp(node.value, scope);
            case "MemberExpression": {
                const { object, property, computed } = node;
                const owner = value(object, scope);
                if (property.type === "SliceExpression") {
                    const bounds = [property.start, property.stop, property.step] as const;
                    return slice(
                        context,
                        owner,
                        bounds.map((bound) => (bound === undefined ? NONE : value(bound, scope))),
                    );
                }
                if (computed) return getItem(context, owner, value(property, scope));
                return property.type === "Identifier"
                    ? getAttribute(context, owner, property.value)
                    : getItem(context, owner, value(property, scope));
            }
            case "CallExpression": {
                const callee = callable(value(node.callee, scope));
                return callee(...bindArguments(node.args, scope));
            }
            case "FilterExpression":
                return filter(value(node.operand, scope), node.filter, scope);
            case "TestExpression":
                return test(context, node.test.value, value(node.operand, scope), []) !== node.negate;
            case "BinaryExpression": {
                const left = value(node.left, scope);
                const operator = node.operator.value;
                if (operator === "and") return isTrue(left) ? value(node.right, scope) : left;
                if (operator === "or") return isTrue(left) ? left : value(node.right, scope);
                return binary(context, operator, left, value(node.right, scope));
            }
            case "UnaryExpression": {
                const argument = value(node.argument, scope);
                return node.operator.value === "not" ? !isTrue(argument) : negative(argument, node.operator.value);
            }
            case "Ternary":
                return value(isTrue(value(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
            case "SelectExpression":
                return isTrue(value(node.test, scope))
                    ? value(node.lhs, scope)
                    : new Undefined("the condition is not met, and there is no else");
            case "KeywordArgumentExpression":
            case "SpreadExpression":
            case "KeywordSpreadExpression":
                return fail("arguments stand where there is no call");
            default:
                return fail(`${(node as { type: string }).type} is not known here`);
        }
    }

    function dictionary(entries: ReadonlyMap<Expression, Expression>, scope: Scope): Dictionary {
        const made: Dictionary = new Map();
        for (const [key, item] of entries) made.set(toKey(value(key, scope)), value(item, scope));
        return made;
    }

    return renderBlock(program, { variables: new Map(), outer: undefined });
}
