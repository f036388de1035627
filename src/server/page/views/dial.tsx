import { useId } from "preact/hooks";
import type { ParameterSpec } from "../api/types.js";
import { rangeOf, turnDial } from "../state/dials.js";
import { dialText } from "../text/numbers.js";

interface Properties {
    readonly name: string;
    readonly spec: ParameterSpec;
    readonly value: number;
}

/** A slider and a field for the same number. */
export function Dial({ name, spec, value }: Properties) {
    const id = useId();
    const { min, max, step } = rangeOf(spec);
    const isKnown = spec.description !== undefined && spec.description !== "";
    return (
        <div class="dial" role="group" aria-label={name}>
            <label class="name" for={id}>
                {name}
            </label>
            <input
                type="number"
                class="value"
                aria-label={`${name}, as a number`}
                value={dialText(value)}
                min={spec.min}
                max={spec.max}
                step={step}
                onChange={(event) => {
                    turnDial(name, event.currentTarget.valueAsNumber);
                    // Also where nothing has changed: what was typed may have been no number, or beyond the limits.
                    event.currentTarget.value = dialText(value);
                }}
            />
            <input
                type="range"
                id={id}
                aria-describedby={isKnown ? `${id}-about` : undefined}
                value={value}
                min={min}
                max={max}
                step={step}
                style={{ "--at": `${(100 * (value - min)) / (max - min)}%` }}
                onInput={(event) => turnDial(name, event.currentTarget.valueAsNumber)}
            />
            {isKnown && (
                <p class="about" id={`${id}-about`}>
                    {spec.description}
                </p>
            )}
        </div>
    );
}
