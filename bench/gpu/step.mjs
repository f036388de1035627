// What a step of emulated fine-tuning costs beside its members: bench/step.mjs on the device, and where its time goes.
//
// Members overlap on a GPU, so of the step only the wall-clock time and the sum of its waiting count (see there). "Rows to the
// host" cannot be seen inside llama_decode, which queues the copies behind the computation. Evaluating without asking for rows
// would leave out the output matrix as well, which is a hundred times the copy. So copies are timed by themselves: as many
// bytes, from the device into the memory that llama.cpp takes for rows, by the same calls (native/copies.cpp). That is the
// most they can take, since in a step those of one member overlap with another member's computation.

import { FAMILIES, findFamily, weightBytes } from "../families.mjs";
import { digits, format, summarize } from "../report.mjs";
import { benchStep } from "../step.mjs";
import { prepareFamily, randomFamilies } from "./models.mjs";

const COPIES = 200;
/** Of emulated fine-tuning over its members, and of what it does beside decoding; at the 7B shape. */
const [MOST_RATIO, MOST_SHARE] = [1.03, 0.03];

export async function measure(kit) {
    const { library, native, quick, backend, result } = kit;
    const { devices, cpu } = library.chooseBackend(backend);
    const { name: device } = devices[0] ?? cpu;
    const families = [{ name: "demo", ...FAMILIES.demo, vocabulary: 2048, isHere: true }, ...randomFamilies(quick)];
    result.data.families = [];
    for (const [index, family] of families.entries()) {
        await kit.attempt(family.shape, families.length - index, async (until) => {
            const prepared = await (family.isHere ? findFamily(family.name) : prepareFamily(kit, family));
            const options = { backend, rounds: quick ? 5 : 20, tokens: 16, until, byHand: false };
            const measured = await benchStep(library, prepared, options);
            const { toHostMs } = native.loadBinding().timeTransfers(device, 4 * family.vocabulary, COPIES);
            const rowMs = summarize([...toHostMs]);
            const bytes = await Promise.all(Object.values(prepared.members).map(weightBytes));
            const described = describe(measured, rowMs.median, bytes, kit.device.bandwidth);
            result.data.families.push({ ...measured, rowMs, ...described, bytes });
            addRows(kit, measured, described);
            for (const text of measured.planRemarks) kit.remark(`${family.shape}: ${text}`);
            if (family.name.startsWith("7b")) addGoals(kit, measured, described);
        });
    }
    if (backend === "cpu") return;
    kit.remark(
        "The sum is that of members alone. Members of a step overlap on the device, so a step may take less than the sum. Rows " +
            "to the host: three copies by themselves, the most that they can take. The bound reads the weights at the " +
            "bandwidth of copies within the device.",
    );
}

/** Shares of the step, and the bound: weights have to be read once a token. */
function describe({ step, members, bound }, rowMs, bytes, bandwidth) {
    const ofStep = (ms) => ms / step.wallMs.median;
    const total = bytes.reduce((sum, size) => sum + size, 0);
    // On the CPU, bench/step.mjs has measured how fast as many bytes are read.
    const rate = bound?.bytesPerSecond ?? bandwidth?.bytesPerSecond ?? NaN;
    return {
        fuse: ofStep(step.fuseMs.median),
        copies: ofStep(members.length * rowMs),
        rest: ofStep(step.restMs.median),
        bound: { bytes: total, bytesPerSecond: rate, ms: (total / rate) * 1000 },
    };
}

function addRows(kit, { shape, members, membersMs, step, stepToMembers }, { fuse, copies, rest, bound }) {
    kit.addRow(
        "A step, milliseconds a token, and shares of it",
        ["models", "large", "chat", "small", "sum", "step", "step / sum", "fuse, draw", "rows to host", "both", "rest"],
        [
            shape,
            ...members.map(({ aloneMs }) => digits(aloneMs.median)),
            ...[digits(membersMs.median), digits(step.wallMs.median), format(stepToMembers)],
            ...[percent(fuse), percent(copies), percent(fuse + copies), percent(rest)],
        ],
    );
    kit.addRow(
        "Against the bound of reading the weights once",
        ["models", "weights", "bandwidth", "bound", "sum / bound", "step / bound"],
        [
            ...[shape, `${(bound.bytes / 1e9).toFixed(2)} GB`, `${(bound.bytesPerSecond / 1e9).toFixed(0)} GB/s`],
            ...[
                `${digits(bound.ms)} ms`,
                (membersMs.median / bound.ms).toFixed(2),
                (step.wallMs.median / bound.ms).toFixed(2),
            ],
        ],
    );
}

function addGoals(kit, { shape, stepToMembers }, { fuse, copies }) {
    const ratio = stepToMembers.median;
    kit.addGoal(`${shape}: step / sum at most ${MOST_RATIO}`, ratio.toFixed(3), ratio <= MOST_RATIO);
    const share = fuse + copies;
    kit.addGoal(
        `${shape}: fusing, drawing and rows at most ${percent(MOST_SHARE)}`,
        percent(share),
        share <= MOST_SHARE,
    );
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
