/** A prompt template by which the demo family thinks: its first sentence is a thought, and what follows is the answer. */

import type { Ensemble } from "../../src/index.js";
import { flaggedIds } from "../../src/models/token-tables.js";

const ASSISTANT = "<think>{{ message['reasoning_content'] }}.{{ message['content'] }}{{ eos_token }}";
const TEMPLATE =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} " +
    `[/INST]{% elif message['role'] == 'assistant' %}${ASSISTANT}{% endif %}{% endfor %}` +
    "{% if add_generation_prompt %}<think>{% endif %}";

/** One member with that template; a recipe without its first lines. */
export const THINKING = `
members: { chat: { model: small-chat.gguf } }
combination: chat
prompt: { template: ${JSON.stringify(TEMPLATE)} }
`;

/** Biases with which no text ends by itself: it goes on behind its first sentence. */
export function withoutEnd({ vocabulary }: Ensemble): Record<string, number> {
    return Object.fromEntries(Array.from(flaggedIds(vocabulary.endOfGeneration), (id) => [id, -10_000]));
}
