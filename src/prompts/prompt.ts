/** From messages to the tokens that each member sees: one way, whoever asks. */

import { EftError } from "../errors.js";
import type { NativeModel } from "../native/binding.js";
import { flaggedIds } from "../models/token-tables.js";
import { mapping } from "../options.js";
import { readData, RESERVED_VARIABLES } from "../template/data.js";
import { compileTemplate, type Rendered } from "../template/template.js";
import { NO_STAND_INS } from "../template/stand-ins.js";
import type { JsonValue, PromptTemplate, TemplateVariables, ThinkingMarks } from "../types.js";
import { GENERIC_SYNTAX, tryCalls, type CallSyntax, type CallTraits, type RenderSample } from "./call-syntax.js";
import { CHANNEL_SYNTAX, tryChannels, withThoughts } from "./channels.js";
import { controlTokens } from "./control-tokens.js";
import { adaptMessages, tryTemplate, type TemplateTraits } from "./conversation.js";
import { textOf, type ChatMessage } from "./messages.js";
import { spacesAnswers } from "./answer-space.js";
import { showTools } from "./printable-tools.js";
import { tryThinking, tryThoughtKey, withThoughtKey } from "./thinking.js";
import { toolsVariable, withCalls, withoutCalls, type ToolUse } from "./tool-messages.js";
import { oncePerTokenizer, surelyExceeds, tokenizePlain, tokenizeRendered } from "./tokens.js";

/** A member's way of turning messages into tokens. */
export interface PromptRenderer {
    /**
     * The text that the member sees, special tokens spelled out.
     *
     * @param variables - overlay those of the recipe. @throws EftError TEMPLATE_INVALID
     */
    render(messages: readonly ChatMessage[], variables?: TemplateVariables): string;
    /** The tokens that the member sees. Long texts do not hold up the event loop. @throws EftError TEMPLATE_INVALID, DISPOSED */
    tokenize(messages: readonly ChatMessage[], variables?: TemplateVariables): Promise<Int32Array>;
    /**
     * What becomes of a system prompt: it is shown; the template leaves it out; or it has no system role, and the first
     * question begins with the system prompt.
     */
    readonly systemPrompt: "shown" | "left out" | "in the first question";
    /** The token that ends an answer: EOS of the model that the template belongs to. -1: there is none. */
    readonly eos: number;
    /** @internal Shared by members that see the same text. */
    readonly script: PromptScript;
}

/** Makes the text of a prompt; one for all members that see the same. */
export interface PromptScript {
    render(messages: readonly ChatMessage[], variables: TemplateVariables, use?: ToolUse): Rendered;
    tokenize(model: NativeModel, rendered: Rendered): Promise<Int32Array>;
    readonly traits: Pick<TemplateTraits, "system">;
    /** What the template makes of tools and calls; undefined: nothing that we understand. */
    readonly calls: CallTraits | undefined;
    readonly thinking: ThinkingMarks | undefined;
    /** Whether each part of an answer names its channel. */
    readonly hasChannels: boolean;
    /** Whether the template writes a space between a prompt and its answer, which models write and nobody says. */
    readonly spacesAnswers: boolean;
}

/** How answers are written: as the first member's template says that says something about it. */
export interface AnswerTraits {
    readonly syntax: CallSyntax;
    readonly thinking: ThinkingMarks | undefined;
    /** Whether each part of an answer names its channel, as the first member's template has it. */
    readonly hasChannels: boolean;
    /** Whether the prompt of an answer ends in the middle of thinking. */
    beginsThinking(variables: TemplateVariables): boolean;
}

export function answerTraits(members: readonly { readonly prompt: PromptRenderer }[]): AnswerTraits {
    const scripts = [...new Set(members.map(({ prompt }) => prompt.script))];
    const thinker = scripts.find(({ thinking }) => thinking !== undefined);
    const hasChannels = scripts[0]?.hasChannels ?? false;
    return {
        get syntax() {
            // No other calls are read there, whatever the template shows.
            if (hasChannels) return CHANNEL_SYNTAX;
            return scripts.map(({ calls }) => calls?.syntax).find((syntax) => syntax !== undefined) ?? GENERIC_SYNTAX;
        },
        thinking: thinker?.thinking,
        hasChannels,
        beginsThinking(variables) {
            if (thinker?.thinking === undefined) return false;
            const { text } = thinker.render([{ role: "user", content: "Hello" }], variables);
            return text.trimEnd().endsWith(thinker.thinking.begin);
        },
    };
}

/** A member, as far as its prompt goes. */
export interface PromptMember {
    readonly name: string;
    readonly model: NativeModel;
    readonly template: PromptTemplate;
}

/**
 * @param name - what messages call the variables
 * @returns a copy without those that are undefined, which does not change when the caller's does. @throws EftError OPTION_INVALID
 */
export function checkVariables(name: string, variables: unknown): TemplateVariables {
    const data = readData(variables)?.copy;
    if (typeof data !== "object" || data === null || Array.isArray(data))
        throw new EftError("OPTION_INVALID", `${name} must be a mapping of names to plain data.`);
    const reserved = Object.keys(data).find((key) => RESERVED_VARIABLES.includes(key));
    // Those that are undefined would hide the recipe's.
    if (reserved === undefined) return mapping<JsonValue>(name, data);
    throw new EftError("OPTION_INVALID", `${name} cannot set ${reserved}, which templates are given anyway.`);
}

/** Renderers of the members, in their order. @throws EftError TEMPLATE_MISSING, TEMPLATE_INVALID */
export function createPromptRenderers(members: readonly PromptMember[]): PromptRenderer[] {
    const models = new Map(members.map(({ name, model }) => [name, model]));
    const sources = members.map((member) => resolveSource(member, models));
    const scripts = new Map<string, PromptScript>();
    return members.map(({ model }, index) => {
        const source = sources[index];
        const sharers = members.filter((_, other) => sources[other]?.key === source?.key);
        const script = scripts.get(source?.key ?? "") ?? (source ? createScript(source, sharers) : PLAIN);
        if (source !== undefined) scripts.set(source.key, script);
        return {
            script,
            eos: source?.eos ?? model.info.eos,
            render: (messages, variables = {}) => script.render(messages, variables).text,
            tokenize: async (messages, variables = {}) => script.tokenize(model, script.render(messages, variables)),
            get systemPrompt() {
                const { system } = script.traits;
                return system === "refused" ? "in the first question" : system;
            },
        };
    });
}

/** What one member sees of a conversation. */
export interface MemberPrompt {
    readonly text: string;
    /** Undefined where there are certainly more than the limit. */
    readonly tokens: Int32Array | undefined;
}

/**
 * What each member sees of a conversation: rendered once for all that see the same text, tokenized once for all whose
 * tokenizers make the same tokens of it. Long texts do not hold up the event loop.
 *
 * @param options.raw - the text as it is, without templates
 * @param options.use - tools to tell of
 * @param options.limit - tokens; longer prompts are not tokenized where that can be told from their beginnings
 * @throws EftError TEMPLATE_INVALID, DISPOSED
 */
export async function renderPrompts(
    members: readonly { readonly model: NativeModel; readonly prompt: PromptRenderer }[],
    messages: readonly ChatMessage[],
    options: {
        readonly raw?: boolean;
        readonly variables?: TemplateVariables | undefined;
        readonly use?: ToolUse | undefined;
        readonly limit: number;
    },
): Promise<MemberPrompt[]> {
    const { raw = false, variables = {}, use, limit } = options;
    const done = new Map<PromptScript, (model: NativeModel) => Promise<MemberPrompt>>();
    const show = (script: PromptScript): ((model: NativeModel) => Promise<MemberPrompt>) => {
        const rendered = script.render(messages, variables, use);
        const { text } = rendered;
        return oncePerTokenizer(async (model) => {
            if (await surelyExceeds(model, text, limit)) return { text, tokens: undefined };
            return { text, tokens: await script.tokenize(model, rendered) };
        });
    };
    return Promise.all(
        members.map(async ({ model, prompt }) => {
            const script = raw ? PLAIN : prompt.script;
            const shown = done.get(script) ?? show(script);
            done.set(script, shown);
            return shown(model);
        }),
    );
}

/** The words alone. */
const PLAIN: PromptScript = {
    render(messages, _variables, use) {
        const text = withoutCalls(messages, use, use?.syntax ?? GENERIC_SYNTAX, true)
            .map(textOf)
            .join("\n");
        return { text, marked: text, standIns: NO_STAND_INS };
    },
    async tokenize(model, { text }) {
        const [tokens] = await tokenizePlain(model, text);
        return tokens;
    },
    traits: { system: "shown" },
    calls: undefined,
    thinking: undefined,
    hasChannels: false,
    spacesAnswers: false,
};

/** A template with all that its text depends on. */
interface Source {
    readonly member: string;
    readonly template: string;
    /** Where it was written, for messages. */
    readonly origin: string;
    /** The spelling of BOS and EOS to the model that the template belongs to. */
    readonly special: Readonly<Record<"bos_token" | "eos_token", string>>;
    /** The id of that EOS, which means the same to all members that have it. */
    readonly eos: number;
    readonly variables: TemplateVariables;
    /** As the recipe says it. */
    readonly thinking: ThinkingMarks | undefined;
    /** Equal for sources that make the same texts. */
    readonly key: string;
}

/** Undefined where there is no template. @throws EftError TEMPLATE_MISSING */
function resolveSource(
    { name, model, template }: PromptMember,
    models: ReadonlyMap<string, NativeModel>,
): Source | undefined {
    if (template.kind === "plain") return undefined;
    const owner = template.kind === "from" ? models.get(template.member) : model;
    const text = template.kind === "from" ? owner?.info.chatTemplate : template.template;
    if (text === undefined || owner === undefined) {
        throw new EftError(
            "TEMPLATE_MISSING",
            `The prompt is to use the chat template of member ${template.kind === "from" ? template.member : name}, but its ` +
                'GGUF carries none. Write a template into the recipe (`prompt: { template: "..." }`), or use `template: plain`.',
        );
    }
    const special = { bos_token: tokenText(owner, owner.info.bos), eos_token: tokenText(owner, owner.info.eos) };
    const { variables = {}, thinking } = template;
    const key = JSON.stringify([text, special, variables, thinking]);
    const origin = template.kind === "from" ? `from the GGUF of ${template.member}` : "written in the recipe";
    return { member: name, template: text, origin, special, eos: owner.info.eos, variables, thinking, key };
}

function tokenText(model: NativeModel, token: number): string {
    return token < 0 ? "" : (model.tokenTexts(token, token + 1)[0] ?? "");
}

/** @param sharers - members that see its texts: none of their control tokens may come from a message */
function createScript(
    { member, template, origin, special, variables: own, thinking }: Source,
    sharers: readonly PromptMember[],
): PromptScript {
    const name = `${member} (${origin})`;
    const compiled = attempt(`${name} cannot be parsed`, () => compileTemplate(template));
    // Elsewhere it may be a text that a message begins with.
    const bos = sharers.some(({ model }) => controlTokens(model).byText.has(special.bos_token))
        ? special.bos_token
        : "";
    const guarded = new Set(sharers.flatMap(({ model }) => [...controlTokens(model).guarded]));
    const render = (messages: readonly ChatMessage[], variables: TemplateVariables, isAnswer = true): Rendered => {
        const given = { tools: null, documents: null, ...own, ...variables };
        return compiled.render(special, { ...given, messages, add_generation_prompt: isAnswer }, guarded);
    };
    const findTraits = once(() => tryTemplate((messages) => render(messages, {}).text));
    const sample: RenderSample = (messages, variables, isAnswer) =>
        render(adaptMessages(messages, findTraits()), variables, isAnswer).text;
    const findChannels = once(() => tryChannels(sample));
    const findCalls = once(() => tryCalls(sample, endsOfText(sharers), findChannels()));
    const findSpace = once(() => spacesAnswers(sample));
    const findThinking = once(() => thinking ?? tryThinking(sample, template));
    const findThoughtKey = once(() => tryThoughtKey(sample));
    return {
        render(messages, variables, use) {
            const calls = use !== undefined || messages.some(isAboutTools) ? findCalls() : undefined;
            const isOwn = calls !== undefined && (use === undefined || calls.syntax !== undefined);
            const all = isOwn
                ? withCalls(messages, calls)
                : withoutCalls(messages, use, use?.syntax ?? GENERIC_SYNTAX, findTraits().system !== "left out");
            const shown = findChannels() ? withThoughts(all) : withThoughtKey(all, findThoughtKey);
            const show = (own: TemplateVariables): Rendered =>
                render(adaptMessages(shown, findTraits()), { ...variables, ...own });
            return attempt(`${name} cannot be rendered`, () =>
                isOwn && use !== undefined
                    ? showTools(use.tools, (tools) => show({ tools: toolsVariable(tools) }))
                    : show({}),
            );
        },
        tokenize: (model, rendered) => tokenizeRendered(model, rendered, bos),
        get traits() {
            return findTraits();
        },
        get calls() {
            return findCalls();
        },
        get thinking() {
            return findThinking();
        },
        get hasChannels() {
            return findChannels();
        },
        get spacesAnswers() {
            return findSpace();
        },
    };
}

function isAboutTools({ role, tool_calls: calls }: ChatMessage): boolean {
    return role === "tool" || calls !== undefined;
}

/** Texts of the tokens that end an answer. */
function endsOfText(members: readonly PromptMember[]): string[] {
    const texts = members.flatMap(({ model }) =>
        Array.from(flaggedIds(model.endOfGeneration())).flatMap((token) => model.tokenTexts(token, token + 1)),
    );
    return [...new Set(texts)];
}

function once<T>(find: () => T): () => T {
    let found: { readonly value: T } | undefined;
    return () => (found ??= { value: find() }).value;
}

/** Characters. */
const MAX_REASON = 1000;

/** @param failure - which template does not do what. @throws EftError TEMPLATE_INVALID */
function attempt<T>(failure: string, body: () => T): T {
    try {
        return body();
    } catch (error) {
        // A template may have made what it says.
        const reason = (error instanceof Error ? error.message : String(error)).slice(0, MAX_REASON);
        const text = `The prompt template of member ${failure}: ${reason}`;
        throw new EftError("TEMPLATE_INVALID", text, { cause: error });
    }
}
