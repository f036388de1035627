// One part, in the process that kit.mjs starts for it: `node part.mjs a '{ "backend": "cuda", ... }'`.

import { rmSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { importLibrary, importNative } from "../families.mjs";
import { createClock } from "./clock.mjs";
import { PARTS } from "./parts.mjs";
import { NotHere } from "./room.mjs";

const [letter, settings] = process.argv.slice(2);
const { backend, quick, folder, seconds, device } = JSON.parse(settings);
/** Who wanted to know is gone, and did not come to remove the models. */
const abandon = () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
};
process.on("disconnect", abandon);
const clock = createClock(seconds);
let saving;
const result = { tables: [], checks: [], goals: [], remarks: [], skipped: [], failures: [], data: {} };

const kit = {
    ...{ backend, quick, folder, clock, result },
    /** What the part "device" has found. */
    device,
    library: await importLibrary(),
    native: await importNative(),
    /** To be called whenever something has been added to the result. What is added in one go is sent in one. */
    save() {
        saving ??= turn().then(() => {
            saving = undefined;
            return new Promise((resolve) => process.send({ result }, resolve));
        });
    },
    remark(text) {
        result.remarks.push(text);
        kit.save();
    },
    /** @param row - cells of a table that is begun with its first row */
    addRow(title, head, row) {
        const table = result.tables.find((each) => each.title === title);
        if (table === undefined) result.tables.push({ title, head, rows: [row] });
        else table.rows.push(row);
        kit.save();
    },
    addGoal(goal, measured, isMet) {
        result.goals.push({ goal, measured, isMet });
        kit.save();
    },
    /**
     * One of the part's measurements. What cannot be measured is said in a remark, and what fails in a failure; the others
     * go on.
     *
     * @param share - how many measurements the rest of the time is for, this one included
     * @param body - gets the `performance.now()` at which it should come to its end
     */
    async attempt(name, share, body) {
        const skip = (reason) => {
            result.skipped.push(name);
            kit.remark(`${name}: not measured${reason}`);
        };
        if (clock.isOver()) return skip(", the time was up.");
        process.send({ progress: name });
        try {
            await body(clock.share(share));
        } catch (error) {
            if (error instanceof NotHere) return skip(`. ${error.message}`);
            fail(error, `${name}: `);
        }
        kit.save();
    },
};

const { measure } = await PARTS[letter].load();
try {
    await measure(kit);
} catch (error) {
    fail(error);
}
kit.save();
await saving;
process.off("disconnect", abandon);
process.disconnect();

/** A sentence for the report; where in the program it came from is for the screen. */
function fail(error, where = "") {
    if (!kit.library.EftError.isInstance(error)) console.error(error);
    result.failures.push(`${where}${error?.message ?? error}`);
}
