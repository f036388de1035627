import type { DrafterReport } from "../api/types.js";
import { memberColour } from "../state/colours.js";
import { share } from "../text/numbers.js";
import { spell } from "../text/tokens.js";

interface Properties {
    readonly drafter: DrafterReport;
    readonly recipe: string;
}

/** How far EFT and its drafter are apart, and who made the difference. */
export function Decision({ drafter: { token, distance, shifts, changed_by: changedBy }, recipe }: Properties) {
    const moved = Object.entries(shifts ?? {}).flatMap(([name, shift]) => (shift === null ? [] : [{ name, shift }]));
    return (
        <div class="decision">
            <label class="apart">
                EFT and its drafter are <b>{share(distance)}</b> apart
                <meter min={0} max={1} value={distance} />
            </label>
            {changedBy === undefined ? (
                <p class="muted">The drafter would have said the same.</p>
            ) : (
                <p>
                    The drafter would have said <code>{spell(token)}</code>;{" "}
                    <b class={`name member-${memberColour(recipe, changedBy)}`}>{changedBy}</b> changed the decision.
                </p>
            )}
            {moved.length > 0 && (
                <ul class="shifts" aria-label="How members moved the log-odds">
                    {moved.map(({ name, shift }) => (
                        <li key={name}>
                            <span>{name}</span>
                            <span class="number">{`${shift < 0 ? "−" : "+"}${Math.abs(shift).toFixed(1)}`}</span>
                        </li>
                    ))}
                </ul>
            )}
        </div>
    );
}
