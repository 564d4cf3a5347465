export const AT: number;
