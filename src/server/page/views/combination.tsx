import type { Values } from "../state/dials.js";
import { dialText } from "../text/numbers.js";

interface Properties {
    readonly text: string;
    readonly values: Values;
    readonly members: readonly string[];
}

/** The recipe's formula, with the dials' values in the places of their names. */
export function Combination({ text, values, members }: Properties) {
    const parts = text.split(/([A-Za-z_]\w*)/);
    return (
        <p class="combination" aria-label="Combination at these dials">
            {parts.map((part, index) => {
                const value = Object.hasOwn(values, part) ? values[part] : undefined;
                if (value !== undefined)
                    return (
                        <b key={index} title={part}>
                            {dialText(value)}
                        </b>
                    );
                return members.includes(part) ? (
                    <i key={index}>{part}</i>
                ) : (
                    part.replaceAll("*", "·").replaceAll("-", "−")
                );
            })}
        </p>
    );
}
