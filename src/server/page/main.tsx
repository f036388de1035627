/** The page at `/`: a conversation with a recipe, its dials, and what each member wanted. */

import { render } from "preact";
import "./style/base.css";
import "./style/controls.css";
import "./style/layout.css";
import "./style/conversation.css";
import "./style/tokens.css";
import { loadRecipes } from "./state/recipes.js";
import { showTheme } from "./state/theme.js";
import { App } from "./views/app.js";

showTheme();
const place = document.getElementById("page");
if (place !== null) render(<App />, place);
void loadRecipes();
