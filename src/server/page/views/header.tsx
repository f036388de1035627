import { startAfresh, turns } from "../state/conversation.js";
import { chooseRecipe, recipe, recipes } from "../state/recipes.js";
import { theme, type Theme } from "../state/theme.js";

const THEMES: readonly (readonly [Theme, string])[] = [
    ["system", "As the system"],
    ["light", "Light"],
    ["dark", "Dark"],
];

export function Header() {
    return (
        <header class="bar">
            <h1>
                <img src="/favicon.svg" alt="" width="24" height="24" />
                eft-llama
            </h1>
            {recipe.value !== undefined && (
                <label class="pick">
                    <span>Recipe</span>
                    <select value={recipe.value.id} onChange={(event) => chooseRecipe(event.currentTarget.value)}>
                        {recipes.value.map(({ id }) => (
                            <option key={id} value={id}>
                                {id}
                            </option>
                        ))}
                    </select>
                </label>
            )}
            <span class="gap" />
            {turns.value.length > 0 && (
                <button type="button" class="quiet" onClick={startAfresh}>
                    New conversation
                </button>
            )}
            <label class="pick theme">
                <span class="unseen">Colours of the page</span>
                <select
                    value={theme.value}
                    onChange={(event) => (theme.value = event.currentTarget.value as Theme)}
                >
                    {THEMES.map(([id, name]) => (
                        <option key={id} value={id}>
                            {name}
                        </option>
                    ))}
                </select>
            </label>
        </header>
    );
}
