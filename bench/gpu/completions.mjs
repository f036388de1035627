// Tokens per second of many completions at once: bench/batch.mjs on the device.

import { benchBatch } from "../batch.mjs";
import { FAMILIES, findFamily } from "../families.mjs";
import { prepareFamily, randomFamilies, randomFamily } from "./models.mjs";

const COUNTS = [1, 2, 4, 8, 16, 32, 64];

export async function measure(kit) {
    const { library, backend, quick, result } = kit;
    const demo = { name: "demo", ...FAMILIES.demo, isHere: true };
    const families = quick
        ? [demo, { ...randomFamilies(quick)[0], counts: [1, 4, 16] }]
        : [
              randomFamily("7b", "1.1b", "q4_0", 32_000),
              randomFamily("1.1b", "134m", "q4_0", 32_000),
              randomFamily("7b", "1.1b", "f16", 32_000),
              demo,
          ];
    result.data.families = [];
    for (const [index, family] of families.entries()) {
        await kit.attempt(family.shape, families.length - index, async (until) => {
            const prepared = await (family.isHere ? findFamily(family.name) : prepareFamily(kit, family));
            const options = {
                backend,
                rounds: quick ? 2 : 5,
                tokens: quick ? 8 : 32,
                until,
                counts: family.counts ?? COUNTS,
            };
            const measured = await benchBatch(library, prepared, options);
            result.data.families.push(measured);
            for (const text of measured.planRemarks) kit.remark(`${family.shape}: ${text}`);
            const row = (value) =>
                COUNTS.map((count) => {
                    const result = measured.results.find(({ completions }) => completions === count);
                    return result === undefined ? "" : value(result);
                });
            const head = ["models", ...COUNTS];
            kit.addRow("Tokens per second of all completions together, by how many there are at once", head, [
                ...[family.shape, ...row(({ tokensPerSecond }) => tokensPerSecond.median.toFixed(0))],
            ]);
            kit.addRow("Times one completion", head, [family.shape, ...row(({ gain }) => gain.median.toFixed(2))]);
        });
    }
}
