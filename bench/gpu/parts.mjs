// What the kit measures, in this order. `share`: of the time, as far as it goes; seconds of the default nine minutes.

export const PARTS = {
    device: { title: "device", share: 10, load: () => import("./device.mjs") },
    a: { title: "correctness", share: 60, load: () => import("./correctness.mjs") },
    b: { title: "step", share: 170, load: () => import("./step.mjs") },
    c: { title: "batches", share: 70, load: () => import("./batches.mjs") },
    d: { title: "speculation", share: 120, load: () => import("./speculation.mjs") },
    e: { title: "completions at once", share: 50, load: () => import("./completions.mjs") },
    f: { title: "memory", share: 60, load: () => import("./memory.mjs") },
};
