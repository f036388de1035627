// The main process: windows, the choice of the recipe, and the way from a page to the host.
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { controlHost } from "eft-llama/electron";
import {
    app,
    BrowserWindow,
    dialog,
    ipcMain,
    Menu,
    MessageChannelMain,
    net,
    protocol,
    session,
    utilityProcess,
} from "electron";
import { pageFile } from "./page-files.js";

const ORIGIN = "app://eft";
const folder = fileURLToPath(new URL(".", import.meta.url));
// The operating system cannot read models inside app.asar: a packaged app has recipe and models beside it.
let recipe = app.isPackaged ? path.join(process.resourcesPath, "recipes", "demo-dial.yaml") : "demo-dial";

let running;
/** The host; a new one if there is none yet, or the last one has ended. */
function host() {
    if (running === undefined) {
        const child = utilityProcess.fork(path.join(folder, "host.js"), [], { serviceName: "eft-llama" });
        child.once("exit", () => (running = undefined));
        running = controlHost(child);
        load();
    }
    return running;
}

// Pages learn about it from the host's status. Without a page there is nobody to tell.
function load() {
    running.load(recipe).catch((error) => console.error(error.message));
}

async function chooseRecipe() {
    const { filePaths } = await dialog.showOpenDialog({
        title: "Open recipe",
        filters: [{ name: "Recipes", extensions: ["yaml", "yml", "json"] }],
        properties: ["openFile"],
    });
    const [file] = filePaths;
    if (file === undefined) return;
    try {
        await host().load(file);
        recipe = file;
    } catch (error) {
        dialog.showErrorBox("This recipe cannot be used", error.message);
    }
}

function openWindow() {
    const window = new BrowserWindow({
        width: 800,
        height: 700,
        webPreferences: {
            preload: path.join(folder, "preload.cjs"),
            contextIsolation: true,
            nodeIntegration: false,
            sandbox: true,
        },
    });
    void window.loadURL(`${ORIGIN}/`);
}

function start() {
    session.defaultSession.setPermissionRequestHandler((_contents, _permission, decide) => decide(false));
    protocol.handle("app", (request) => {
        const { host: name, pathname } = new URL(request.url);
        const file = name === "eft" ? pageFile(pathname) : undefined;
        return file === undefined ? new Response(null, { status: 404 }) : net.fetch(pathToFileURL(file).href);
    });
    Menu.setApplicationMenu(
        Menu.buildFromTemplate([
            ...(process.platform === "darwin" ? [{ role: "appMenu" }] : []),
            {
                label: "File",
                submenu: [
                    { label: "New window", accelerator: "CmdOrCtrl+N", click: openWindow },
                    { label: "Open recipe…", accelerator: "CmdOrCtrl+O", click: () => void chooseRecipe() },
                    { role: "close" },
                ],
            },
            { role: "editMenu" },
            { role: "viewMenu" },
        ]),
    );
    host();
    openWindow();
}

protocol.registerSchemesAsPrivileged([{ scheme: "app", privileges: { standard: true, secure: true } }]);
app.enableSandbox();

app.on("web-contents-created", (_event, contents) => {
    contents.on("will-navigate", (event) => event.preventDefault());
    contents.setWindowOpenHandler(() => ({ action: "deny" }));
});

ipcMain.on("host:connect", ({ senderFrame }) => {
    if (senderFrame?.origin !== ORIGIN) return;
    const { port1, port2 } = new MessageChannelMain();
    host().connect(port1);
    senderFrame.postMessage("host:port", null, [port2]);
});

app.on("activate", () => {
    if (BrowserWindow.getAllWindows().length === 0) openWindow();
});
app.on("window-all-closed", () => {
    if (process.platform !== "darwin") app.quit();
});
// Not awaited here: Electron becomes ready only after this file has run to its end.
void app.whenReady().then(start);
