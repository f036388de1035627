// One part, in the process that kit.mjs starts for it: `node part.mjs a '{ "backend": "cuda", ... }'`.

import { setImmediate as turn } from "node:timers/promises";
import { importLibrary, importNative } from "../families.mjs";
import { createClock } from "./clock.mjs";
import { PARTS } from "./parts.mjs";
import { NotHere } from "./room.mjs";

const [letter, settings] = process.argv.slice(2);
const { backend, quick, folder, seconds, device } = JSON.parse(settings);
const clock = createClock(seconds);
let saving;
const result = { tables: [], checks: [], goals: [], remarks: [], failures: [], data: {} };

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
        if (clock.isOver()) return kit.remark(`${name}: not measured, the time was up.`);
        process.send({ progress: name });
        try {
            await body(clock.share(share));
        } catch (error) {
            if (error instanceof NotHere) return kit.remark(`${name}: not measured. ${error.message}`);
            result.failures.push(`${name}: ${error?.message ?? error}`);
        }
        kit.save();
    },
};

const { measure } = await PARTS[letter].load();
try {
    await measure(kit);
} catch (error) {
    result.failures.push(kit.library.EftError.isInstance(error) ? error.message : error.stack);
}
kit.save();
await saving;
process.disconnect();
