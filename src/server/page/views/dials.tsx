import { values } from "../state/dials.js";
import { recipe } from "../state/recipes.js";
import { Combination } from "./combination.js";
import { Dial } from "./dial.js";

export function Dials() {
    if (recipe.value === undefined) return null;
    const { id, combination, parameters, members } = recipe.value;
    const dials = Object.entries(parameters);
    return (
        <div class="dials">
            <h2 class="unseen">Dials</h2>
            {dials.map(([name, spec]) => (
                <Dial key={`${id} ${name}`} name={name} spec={spec} value={values.value[name] ?? spec.default} />
            ))}
            {dials.length === 0 && <p class="muted">This recipe has no dials.</p>}
            <Combination text={combination} values={values.value} members={members} />
        </div>
    );
}
