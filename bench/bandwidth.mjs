// How fast this machine reads memory: each thread compares two equal blocks again and again, which memcmp does at the
// speed of the memory and without writing anything. The blocks are as large as what is to be compared with the result,
// so weights that fit into a cache are measured against that cache.

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const SECONDS = 0.5;

/**
 * @param bytes - working set of all threads together
 * @returns bytes per second of all threads together, the best of three attempts
 */
export async function measureReadBandwidth(bytes, threads) {
    let best = 0;
    for (let attempt = 0; attempt < 3; attempt++) {
        const rates = await Promise.all(Array.from({ length: threads }, () => readInThread(bytes / threads)));
        best = Math.max(
            best,
            rates.reduce((sum, rate) => sum + rate, 0),
        );
    }
    return best;
}

function readInThread(bytes) {
    return new Promise((resolve, reject) => {
        const worker = new Worker(new URL(import.meta.url), { workerData: { bytes } });
        worker.once("message", resolve);
        worker.once("error", reject);
    });
}

function readRate(bytes) {
    const half = Math.max(1, Math.floor(bytes / 2));
    // Filled, because untouched pages would all be the same page of zeros.
    const [a, b] = [Buffer.alloc(half, 1), Buffer.alloc(half, 1)];
    a.equals(b);
    const start = performance.now();
    let comparisons = 0;
    while (performance.now() - start < SECONDS * 1000) {
        a.equals(b);
        comparisons++;
    }
    return (comparisons * 2 * half * 1000) / (performance.now() - start);
}

if (!isMainThread) parentPort.postMessage(readRate(workerData.bytes));
