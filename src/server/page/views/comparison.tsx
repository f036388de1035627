import { recipe } from "../state/recipes.js";
import { isComparing, rivals, setRival } from "../state/settings.js";

/** Whether members answer alone, too, and which of them. */
export function Comparison() {
    const members = recipe.value?.members ?? [];
    return (
        <div class="comparison">
            <label class="switch">
                <input
                    type="checkbox"
                    checked={isComparing.value}
                    onChange={(event) => (isComparing.value = event.currentTarget.checked)}
                />
                Side by side with{!isComparing.value && " members alone"}
            </label>
            {isComparing.value &&
                rivals.value.map((rival, place) => (
                    <select
                        key={place}
                        aria-label={place === 0 ? "First member" : "Second member"}
                        value={rival}
                        onChange={(event) => setRival(place, event.currentTarget.value)}
                    >
                        {members.map((name) => (
                            <option key={name} value={name}>
                                {name}
                            </option>
                        ))}
                    </select>
                ))}
        </div>
    );
}
