// Grammars of which the cost is measured, each with a text that it allows.

const WORDS = Array.from({ length: 1500 }, (_, index) => {
    const syllables = ["ka", "lo", "mi", "ren", "tas", "ul", "ver", "zo", "pin", "da", "sche", "qua"];
    return Array.from({ length: 3 }, (__, at) => syllables[Math.floor(index / 12 ** at) % 12]).join("") + (index % 7);
});
const text = { type: "string" };
const object = (properties) => ({ type: "object", properties, required: Object.keys(properties) });

const TOOLS = Array.from({ length: 30 }, (_, index) =>
    object({
        name: {
            const: `${["find", "read", "write", "send", "list"][index % 5]}_${WORDS[37 * index].slice(0, -1)}_${index}`,
        },
        arguments: object({
            query: text,
            limit: { type: "integer", minimum: 1, maximum: 100 },
            [`option_${index}`]: { type: "boolean" },
        }),
    }),
);

export const CASES = {
    "3 fields": {
        schema: object({
            label: { enum: ["positive", "negative", "neutral", "mixed"] },
            confidence: { type: "integer", minimum: 0, maximum: 100 },
            reason: text,
        }),
        text: '{"label": "positive", "confidence": 87, "reason": "The writer liked the food, and above all the people who served it; they would come again with friends."}',
    },
    "nested, with lists": {
        schema: object({
            title: text,
            people: {
                type: "array",
                minItems: 1,
                items: object({ name: text, age: { type: "integer" }, tags: { type: "array", items: text } }),
            },
            place: object({
                city: text,
                position: object({ latitude: { type: "number" }, longitude: { type: "number" } }),
            }),
        }),
        text: '{"title": "A meeting", "people": [{"name": "Ann Smith", "age": 41, "tags": ["chair", "Berlin"]}, {"name": "José Álvarez", "age": 29, "tags": []}], "place": {"city": "Köln", "position": {"latitude": 50.94, "longitude": 6.96}}}',
    },
    "pattern, formats, lengths": {
        schema: object({
            id: { type: "string", pattern: "^[A-Z]{2}-[0-9]{4,6}$" },
            date: { type: "string", format: "date-time" },
            mail: { type: "string", format: "email" },
            note: { type: "string", minLength: 5, maxLength: 200 },
        }),
        text: '{"id": "AB-20417", "date": "2026-03-14T09:26:53Z", "mail": "ann.smith@example.org", "note": "Please call before noon, the door is at the back of the house."}',
    },
    "integers in ranges": {
        schema: {
            type: "array",
            items: { type: "integer", minimum: -1234, maximum: 98765 },
            minItems: 20,
            maxItems: 40,
        },
        text: `[${Array.from({ length: 20 }, (_, index) => ((index * 7919) % 99000) - 1000).join(", ")}]`,
    },
    "one of 1,500 words": {
        schema: { type: "array", items: { enum: WORDS }, minItems: 1 },
        text: JSON.stringify(Array.from({ length: 12 }, (_, index) => WORDS[(index * 521) % 1500])).replaceAll(
            ",",
            ", ",
        ),
    },
    "one of 30 tools": {
        schema: { anyOf: TOOLS },
        text: `{"name": "${TOOLS[17].properties.name.const}", "arguments": {"query": "weather in Paris on Sunday, and what to wear", "limit": 12, "option_17": true}}`,
    },
    "any object": {
        schema: { type: "object" },
        text: '{"name": "Ann", "list": [1, 2.5e3, true, null, {"deep": ["x", "y"]}], "long text": "The quick brown fox jumps over the lazy dog."}',
    },
    prose: {
        grammar: String.raw`root ::= sentence (" " sentence)*
sentence ::= [A-Z] [a-zA-Z0-9 ,;'-]* [.!?]`,
        text: "The writer liked the food, and above all the people who served it. They would come again with friends; it was a warm evening. Nobody wanted to leave.",
    },
};
