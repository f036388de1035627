import { startAfresh, turns } from "../state/conversation.js";
import { chooseRecipe, recipe, recipes } from "../state/recipes.js";
import { isDark, switchTheme } from "../state/theme.js";

export function Header() {
    return (
        <header class="bar">
            <h1>
                <img src="/favicon.svg" alt="" width="24" height="24" />
                eft-llama
            </h1>
            {recipe.value !== undefined && (
                <label class="pick">
                    <span class="name">Recipe</span>
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
                <button type="button" class="quiet" aria-label="New conversation" onClick={startAfresh}>
                    New<span class="wide"> conversation</span>
                </button>
            )}
            <button
                type="button"
                class="quiet icon"
                aria-label="Dark colours"
                aria-pressed={isDark.value}
                onClick={switchTheme}
            >
                <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
                    <circle cx="10" cy="10" r="7.25" fill="none" stroke="currentColor" stroke-width="1.5" />
                    <path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" />
                </svg>
            </button>
        </header>
    );
}
