/** The part of jstat that the tests use; the package carries no types. */
declare module "jstat" {
    const jStat: {
        readonly chisquare: {
            /** P(X <= x) for X of the chi-square distribution. */
            cdf(x: number, degreesOfFreedom: number): number;
        };
    };
    export default jStat;
}
