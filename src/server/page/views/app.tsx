import { announcement } from "../state/announcement.js";
import { turns } from "../state/conversation.js";
import { needsKey } from "../state/key.js";
import { recipe, recipesProblem } from "../state/recipes.js";
import { loadRecipes } from "../state/recipes.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Dials } from "./dials.js";
import { Header } from "./header.js";
import { Inspector } from "./inspector.js";
import { KeyForm } from "./key-form.js";
import { Legend } from "./legend.js";
import { Notice } from "./notice.js";
import { Settings } from "./settings.js";
import { Welcome } from "./welcome.js";

export function App() {
    return (
        <>
            <a class="skip" href="#question">
                Skip to the question
            </a>
            <Header />
            <div class="columns">
                {recipe.value !== undefined && (
                    <section class="panel" aria-label="Dials">
                        <Dials />
                        <Settings />
                    </section>
                )}
                <main>
                    {needsKey.value && <KeyForm />}
                    {recipesProblem.value !== undefined && (
                        <Notice text={recipesProblem.value}>
                            <button type="button" onClick={() => void loadRecipes()}>
                                Try again
                            </button>
                        </Notice>
                    )}
                    {recipe.value !== undefined && (turns.value.length === 0 ? <Welcome /> : <Conversation />)}
                </main>
                <Inspector />
                {recipe.value !== undefined && (
                    <footer class="dock">
                        <Legend />
                        <Composer />
                    </footer>
                )}
            </div>
            <div class="unseen" role="status">
                {announcement.value}
            </div>
        </>
    );
}
