/* global document, window */
// The page: asks the host, shows answers as they come, and turns the dials of all of them at once.
import { connect } from "/eft-llama/electron/renderer.js";

const element = (id) => document.getElementById(id);
const copy = (id) => element(id).content.cloneNode(true).firstElementChild;

/** What the dials show, by name. */
const parameters = {};
/** Completions that are being written. */
const running = new Set();
let ensemble;

/** The connection; a new one if there is none yet, or the host has gone away. */
function connection() {
    ensemble ??= new Promise((resolve) => {
        const accept = ({ source, data, ports: [port] }) => {
            if (source !== window || data !== "host:port") return;
            window.removeEventListener("message", accept);
            resolve(connect(port, { onStatus: showStatus, onClose: lose }));
        };
        window.addEventListener("message", accept);
        window.host.connect();
    });
    return ensemble;
}

function lose() {
    ensemble = undefined;
    element("status").textContent = "The connection is lost. The next question starts it again.";
}

function showStatus(status) {
    const texts = {
        empty: () => "No recipe is loaded.",
        loading: () => `Loading ${status.recipe}: ${Math.round(100 * status.progress)} %`,
        ready: () => "Ready.",
        failed: () => status.message,
    };
    element("status").textContent = texts[status.state]();
    if (status.state === "ready") void describe();
}

async function describe() {
    const { name, description = "", combination, parameters: specs } = await (await connection()).describe();
    element("recipe").textContent = `${name}: ${combination}`;
    element("recipe").title = description;
    for (const known of Object.keys(parameters)) if (!(known in specs)) delete parameters[known];
    element("dials").replaceChildren(...Object.entries(specs).map(([dial, spec]) => createDial(dial, spec)));
}

function createDial(name, { default: initial, min, max, description = "" }) {
    const label = copy("dial");
    const [input, output] = [label.querySelector("input"), label.querySelector("output")];
    label.querySelector(".name").textContent = name;
    label.title = description;
    input.name = name;
    // A parameter need not have limits, a slider does.
    input.min = Number.isFinite(min) ? min : initial - 2;
    input.max = Number.isFinite(max) ? max : initial + 2;
    input.value = parameters[name] ?? initial;
    const turn = () => {
        parameters[name] = input.valueAsNumber;
        output.value = input.valueAsNumber.toFixed(2);
        for (const completion of running) completion.setParameters({ [name]: parameters[name] }).catch(showError);
    };
    turn();
    input.addEventListener("input", turn);
    return label;
}

async function ask(question) {
    const article = copy("answer");
    const [text, end, stop] = [".text", ".end", "button"].map((selector) => article.querySelector(selector));
    const controller = new AbortController();
    article.querySelector("h2").textContent = question;
    stop.addEventListener("click", () => controller.abort());
    element("answers").append(article);
    let completion;
    try {
        const client = await connection();
        await client.describe();
        completion = client.complete({ prompt: question, parameters, signal: controller.signal });
        running.add(completion);
        for await (const part of completion) {
            text.textContent += part.text;
            article.scrollIntoView({ block: "end" });
            if (part.type === "finish") {
                end.textContent = `${part.reason}, ${part.tokens} tokens, ${part.timings.tokensPerSecond.toFixed(0)} per second`;
            }
        }
    } catch (error) {
        end.textContent = `${error.code}: ${error.message}`;
    } finally {
        running.delete(completion);
        stop.remove();
    }
}

function showError(error) {
    element("status").textContent = error.message;
}

element("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    void ask(element("question").value);
    element("question").value = "";
});
void connection();
