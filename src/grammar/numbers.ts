/** Numbers as JSON writes them, between bounds and of a factor, as regular languages. */

import type { Machine, Regular, Regulars } from "./regular.js";
import { TooManyStates } from "./work.js";

/** What a number has to be. */
export interface NumberLimits {
    readonly isInteger: boolean;
    /** Not a whole number. */
    readonly isFraction: boolean;
    /** Inclusive. */
    readonly min: number;
    readonly max: number;
    readonly factors: readonly number[];
    readonly excluded: readonly number[];
}

/** Numbers of up to 15 digits are exact in JSON's doubles. */
const WHOLE_DIGITS = 15;
const FRACTION_DIGITS = 16;
const UNIT = 10n ** BigInt(FRACTION_DIGITS);
const LARGEST_FACTOR = 1000;

export const UNLIMITED: NumberLimits = {
    ...{ isInteger: false, isFraction: false, min: -Infinity, max: Infinity, factors: [], excluded: [] },
};

/** Whether the limits say anything about numbers, of up to 15 digits if they are integers. */
export function isLimited({ isInteger, isFraction, min, max, factors, excluded }: NumberLimits): boolean {
    const largest = isInteger ? 10 ** WHOLE_DIGITS : Infinity;
    return isFraction || min > -largest || max < largest || factors.length > 0 || excluded.length > 0;
}

/** The next double above (`direction` 1) or below (-1). */
export function nextDouble(value: number, direction: 1 | -1): number {
    if (!Number.isFinite(value)) return value;
    if (value === 0) return direction * Number.MIN_VALUE;
    const bits = new BigInt64Array(new Float64Array([value]).buffer);
    bits[0] = (bits[0] ?? 0n) + (value > 0 === direction > 0 ? 1n : -1n);
    return new Float64Array(bits.buffer)[0] ?? value;
}

/** Whether `multipleOf` can be this number. */
export function isPossibleFactor(factor: number): boolean {
    const { digits, exponent } = decimalOf(factor);
    return digits <= BigInt(LARGEST_FACTOR) && exponent >= -FRACTION_DIGITS && exponent < WHOLE_DIGITS;
}

/** As decimals, without the errors of doubles. */
export function isMultiple(value: number, factor: number): boolean {
    const [one, other] = [decimalOf(Math.abs(value)), decimalOf(factor)];
    const exponent = Math.min(one.exponent, other.exponent);
    const scaled = ({ digits, exponent: own }: Decimal): bigint => digits * 10n ** BigInt(own - exponent);
    return scaled(one) % scaled(other) === 0n;
}

/** Whether no number at all is within the limits, however it is written: where that is not certain it is not so. */
export function isNoNumber(regulars: Regulars, limits: NumberLimits): boolean {
    const { min, max, factors, excluded, isInteger, isFraction } = limits;
    if (min > max || (isFraction && factors.some(Number.isInteger))) return true;
    if (min === max) {
        const isKind = Number.isInteger(min) ? !isFraction : !isInteger;
        return !isKind || excluded.includes(min) || !factors.every((factor) => isMultiple(min, factor));
    }
    const largest = 10 ** WHOLE_DIGITS - 1;
    // All that there may be can be written here, which multiples of decimals can.
    const isWritten = min >= -largest && max <= largest && (isInteger || factors.length > 0);
    return isWritten && regulars.isEmpty(numberLanguage(regulars, limits));
}

/** Their texts: without exponents, up to 15 digits before the point and 16 behind it, no negative zero. */
export function numberLanguage(regulars: Regulars, limits: NumberLimits): Regular {
    const { sequence, either, both, not, repeat, text, nothing, never, all, characters, machine } = regulars;
    const digit = characters([[0x30, 0x39]]);
    const nonzero = characters([[0x31, 0x39]]);
    const digits = (min: number, max: number): Regular => repeat(digit, min, max);
    const point = text(".");
    const { isInteger, isFraction, factors, excluded } = limits;
    const fraction = isInteger ? nothing : repeat(sequence(point, digits(1, FRACTION_DIGITS)), 0, 1);
    const [min, max] = isInteger ? [Math.ceil(limits.min), Math.floor(limits.max)] : [limits.min, limits.max];
    const whole = either(text("0"), sequence(nonzero, digits(0, WHOLE_DIGITS - 1)));
    const magnitude = sequence(whole, fraction);
    const hasDigit = sequence(all, nonzero, all);
    const minus = text("-");

    /** Magnitudes of at least this many units of the last digit. */
    function atLeast(units: bigint): Regular {
        if (units <= 0n) return magnitude;
        const bound = String(units / UNIT);
        if (bound.length > WHOLE_DIGITS) return never;
        const behind = String(units % UNIT)
            .padStart(FRACTION_DIGITS, "0")
            .replace(/0+$/, "");
        const above = (least: string): Regular =>
            least === "9" ? never : characters([[(least.codePointAt(0) ?? 0) + 1, 0x39]]);
        const wholes = [...bound].map((one, index) =>
            sequence(
                text(bound.slice(0, index)),
                above(one),
                digits(bound.length - index - 1, bound.length - index - 1),
            ),
        );
        const longer = bound.length < WHOLE_DIGITS ? sequence(nonzero, digits(bound.length, WHOLE_DIGITS - 1)) : never;
        const more = [...behind].map((one, index) =>
            sequence(text(behind.slice(0, index)), above(one), digits(0, FRACTION_DIGITS - index - 1)),
        );
        const exact = sequence(text(behind), digits(0, FRACTION_DIGITS - behind.length));
        const same = behind === "" ? fraction : sequence(point, either(...more, exact));
        return either(sequence(either(...wholes, longer), fraction), sequence(text(bound), same));
    }

    /** Magnitudes of at most this many units. */
    function atMost(units: bigint): Regular {
        if (units < 0n) return never;
        const bound = String(units / UNIT);
        if (bound.length > WHOLE_DIGITS) return magnitude;
        const behind = String(units % UNIT)
            .padStart(FRACTION_DIGITS, "0")
            .replace(/0+$/, "");
        const below = (most: string, isFirst: boolean): Regular => {
            const [first, last] = [isFirst ? 0x31 : 0x30, (most.codePointAt(0) ?? 0) - 1];
            return first > last ? never : characters([[first, last]]);
        };
        const wholes = [...bound].map((one, index) => {
            const left = bound.length - index - 1;
            return sequence(text(bound.slice(0, index)), below(one, index === 0), digits(left, left));
        });
        const shorter = [
            bound === "0" ? never : text("0"),
            bound.length > 1 ? sequence(nonzero, digits(0, bound.length - 2)) : never,
        ];
        const less = [...behind].map((one, index) =>
            sequence(text(behind.slice(0, index)), below(one, false), digits(0, FRACTION_DIGITS - index - 1)),
        );
        const beginnings = [...behind].map((_, index) => text(behind.slice(0, index + 1)));
        const zeros = repeat(text("0"), behind === "" ? 1 : 0, FRACTION_DIGITS - behind.length);
        const same = sequence(point, either(...less, ...beginnings, sequence(text(behind), zeros)));
        return either(
            sequence(either(...wholes, ...shorter), fraction),
            sequence(text(bound), isInteger ? nothing : either(nothing, same)),
        );
    }

    const negative = (of: Regular): Regular =>
        sequence(minus, both(of, isInteger ? atLeast(UNIT) : sequence(all, nonzero, all)));

    /** Magnitudes between units, of which the second may be left out. */
    const between = (least: bigint, most: bigint | undefined): Regular =>
        both(least > 0n ? atLeast(least) : all, most === undefined ? magnitude : atMost(most));

    function within(min: number, max: number): Regular {
        const least = unitsOf(min, 1);
        const most = unitsOf(max, -1);
        const positive = most < 0n ? never : between(least, max === Infinity ? undefined : most);
        if (least >= 0n) return positive;
        return either(negative(between(-most, min === -Infinity ? undefined : -least)), positive);
    }

    /** A number as it may be written: with zeros at its end. */
    function equal(value: number): Regular {
        const units = unitsOf(Math.abs(value), 1);
        return sequence(value < 0 ? minus : nothing, both(atLeast(units), atMost(units)));
    }

    function multiples(factor: number): Regular {
        const { digits: size, exponent } = decimalOf(factor);
        const remainders = remainderMachine(Number(size), Math.max(0, -exponent));
        const zeros = repeat(text("0"), Math.max(0, exponent), Math.max(0, exponent));
        const noFraction = repeat(sequence(point, repeat(text("0"), 1, FRACTION_DIGITS)), 0, 1);
        const own =
            exponent <= 0
                ? machine(remainders)
                : sequence(
                      either(text("0"), sequence(both(machine(remainders), digits(0, WHOLE_DIGITS)), zeros)),
                      noFraction,
                  );
        return sequence(repeat(minus, 0, 1), own);
    }

    return both(
        within(min, max),
        ...(isFraction ? [sequence(all, point, hasDigit)] : []),
        ...factors.map(multiples),
        ...excluded.map((value) => not(equal(value))),
    );
}

interface Decimal {
    /** Without zeros at the end. */
    readonly digits: bigint;
    readonly exponent: number;
}

/** @param value - not negative */
function decimalOf(value: number): Decimal {
    const [, whole = "", behind = "", power = "0"] = /^(\d+)(?:\.(\d+))?(?:e([-+]?\d+))?$/.exec(String(value)) ?? [];
    const text = `${whole}${behind}`.replace(/^0+(?=.)/, "");
    const digits = text.replace(/0+$/, "");
    if (digits === "") return { digits: 0n, exponent: 0 };
    return { digits: BigInt(digits), exponent: Number(power) - behind.length + text.length - digits.length };
}

/** A number in units of the last digit behind the point, rounded up (1) or down (-1). */
function unitsOf(value: number, direction: 1 | -1): bigint {
    const sign = value < 0 ? -1n : 1n;
    const { digits, exponent } = decimalOf(Math.min(Math.abs(value), 10 ** WHOLE_DIGITS));
    const power = exponent + FRACTION_DIGITS;
    if (power >= 0) return sign * digits * 10n ** BigInt(power);
    const divisor = 10n ** BigInt(-power);
    const isExact = digits % divisor === 0n;
    const down = digits / divisor;
    const isAway = direction > 0 === value > 0;
    return sign * (isExact || !isAway ? down : down + 1n);
}

/**
 * Decimals that are multiples of `size` in units of the last of `places` digits behind the point; behind those there may be
 * zeros.
 */
function remainderMachine(size: number, places: number): Machine {
    const cuts = [0x2e, 0x2f, ...Array.from({ length: 11 }, (_, index) => 0x30 + index)];
    if (size * (places + 1) > 100_000) throw new TooManyStates();
    // As if the digits that are missing were zeros.
    const isMultipleAt = (remainder: number, missing: number): boolean => {
        let value = remainder;
        for (let count = 0; count < missing; count++) value = (value * 10) % size;
        return value === 0;
    };
    /** `behind`: digits after the point so far, -1 before it. */
    const state = (remainder: number, behind: number, isBegun: boolean): Machine => ({
        key: `${size}/${places}:${remainder}:${behind}:${isBegun}`,
        isAccepting: isBegun && behind !== 0 && isMultipleAt(remainder, places - Math.max(0, behind)),
        cuts,
        next: (character) => {
            if (character === 0x2e) return isBegun && behind < 0 ? state(remainder, 0, false) : undefined;
            const value = character - 0x30;
            if (value < 0 || value > 9) return undefined;
            if (behind >= places && behind >= 0) {
                // Behind the last place that counts.
                return value === 0 ? zeros(remainder) : undefined;
            }
            return state((remainder * 10 + value) % size, behind < 0 ? -1 : behind + 1, true);
        },
    });
    const zeros = (remainder: number): Machine => ({
        key: `${size}/${places}:${remainder}:zeros`,
        isAccepting: remainder === 0,
        cuts,
        next: (character) => (character === 0x30 ? zeros(remainder) : undefined),
    });
    return state(0, -1, false);
}
