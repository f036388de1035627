import type { Signal } from "@preact/signals";
import { useId } from "preact/hooks";
import { seed, setSpeculation, speculation, temperature } from "../state/settings.js";

export function Settings() {
    return (
        <details class="settings">
            <summary>Sampling and speed</summary>
            <NumberField label="Temperature" empty="the recipe's" of={temperature} min={0} max={100} step={0.1} />
            <NumberField label="Seed" empty="random" of={seed} min={0} max={Number.MAX_SAFE_INTEGER} step={1} />
            <label class="switch">
                <input
                    type="checkbox"
                    checked={speculation.value}
                    onChange={(event) => setSpeculation(event.currentTarget.checked)}
                />
                Speculation
                <small>Small models draft, all verify: the same text, sooner.</small>
            </label>
        </details>
    );
}

interface FieldProperties {
    readonly label: string;
    /** What it means that nothing is in it. */
    readonly empty: string;
    readonly of: Signal<number | undefined>;
    readonly min: number;
    readonly max: number;
    readonly step: number;
}

function NumberField({ label, empty, of, min, max, step }: FieldProperties) {
    const id = useId();
    return (
        <div class="field">
            <label for={id}>{label}</label>
            <input
                id={id}
                type="number"
                placeholder={empty}
                value={of.value}
                {...{ min, max }}
                step={step}
                onChange={(event) => {
                    const field = event.currentTarget;
                    const value = Math.min(Math.max(field.valueAsNumber, min), max);
                    of.value = Number.isNaN(value) ? undefined : step === 1 ? Math.round(value) : value;
                    field.value = String(of.value ?? "");
                }}
            />
        </div>
    );
}
