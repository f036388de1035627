// What the GPU is, what it reads and copies, and where it is only the CPU.

import { measureReadBandwidth } from "../bandwidth.mjs";
import { describeEnvironment, summarize } from "../report.mjs";

/** Bytes that are copied, so many times: far more than caches hold. */
const [MUCH, TIMES] = [2 ** 28, 8];

export async function measure({ library, native, backend: wanted, result, save, remark, addRow }) {
    const { backend, devices, cpu, rejected } = library.chooseBackend(wanted);
    const binding = native.loadBinding();
    const names = (devices.length > 0 ? devices : [cpu]).map(({ description }) => description);
    const environment = await describeEnvironment();
    const { machine, versions } = environment;
    Object.assign(result.data, {
        ...{ backend, environment: { ...environment, backend, devices, rejected } },
        name: [...new Set(names)].join(", "),
        versions: `backend ${backend}, ${machine.cores} cores of ${machine.cpu}, llama.cpp ${versions.llamaCpp}`,
    });
    save();
    const head = ["device", "backend", "memory", "free"];
    for (const { name, description, memoryTotal, memoryFree } of [...devices, cpu]) {
        const isCpu = name === cpu.name;
        const cells = [
            `${name}: ${description}`,
            isCpu ? "cpu" : backend,
            gigabytes(memoryTotal),
            gigabytes(memoryFree),
        ];
        addRow("Devices", head, cells);
    }
    for (const { backend: other, reason } of rejected) remark(`Not ${other}: ${reason}.`);
    if (backend === "cpu") {
        remark(
            "There is no GPU here, or it was not asked for: everything runs on the CPU, and nothing says how a GPU behaves.",
        );
    }
    if (devices.length > 1) remark(`Models are spread over ${devices.length} devices; copies are those of the first.`);

    const { name } = devices[0] ?? cpu;
    const { toHostMs, withinMs } = binding.timeTransfers(name, MUCH, TIMES);
    const rate = (bytes, times) => bytes / (summarize([...times]).median / 1000);
    // The CPU's own copies are made by one thread, and say little about what all of them can read.
    const threads = Math.max(1, binding.physicalCores() - 1);
    const read = backend === "cpu" ? await measureReadBandwidth(MUCH, threads) : rate(2 * MUCH, withinMs);
    result.data.bandwidth = { bytesPerSecond: read, toHostBytesPerSecond: rate(MUCH, toHostMs) };
    const how =
        backend === "cpu"
            ? `reading with ${threads} of its threads`
            : "copying within, bytes read and written together";
    addRow("Bandwidth", ["", "GB/s"], [`Memory of ${name}, ${how}`, (read / 1e9).toFixed(0)]);
    addRow("Bandwidth", [], [`From ${name} to the memory of the machine`, (rate(MUCH, toHostMs) / 1e9).toFixed(1)]);
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
