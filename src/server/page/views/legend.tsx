import { memberColour } from "../state/colours.js";
import { turns } from "../state/conversation.js";
import { recipe } from "../state/recipes.js";
import { tint, type Tint } from "../state/tint.js";

const TINTS: readonly (readonly [Tint, string])[] = [
    ["distance", "distance to drafter"],
    ["change", "who changed it"],
    ["none", "nothing"],
];

/** What the colours of tokens mean. */
export function Legend() {
    if (recipe.value === undefined || turns.value.length === 0) return null;
    const { id, members } = recipe.value;
    return (
        <div class="legend">
            <label>
                <span class="wide">Colours </span>
                <select
                    aria-label="Colours show"
                    value={tint.value}
                    onChange={(event) => (tint.value = event.currentTarget.value as Tint)}
                >
                    {TINTS.map(([name, text]) => (
                        <option key={name} value={name}>
                            {text}
                        </option>
                    ))}
                </select>
            </label>
            {tint.value === "distance" && (
                <span class="scale">
                    near
                    {[0, 1, 2, 3, 4].map((step) => (
                        <span key={step} class={`swatch distance-${step}`} />
                    ))}
                    far
                </span>
            )}
            {tint.value === "change" && (
                <ul class="scale">
                    {members.map((name) => (
                        <li key={name}>
                            <span class={`swatch member-${memberColour(id, name)}`} /> {name}
                        </li>
                    ))}
                </ul>
            )}
        </div>
    );
}
