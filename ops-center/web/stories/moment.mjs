/** The moment at which all stories play: a Friday, half past two in the afternoon of the city. */
export const AT = Date.UTC(2026, 10, 20, 7, 30);
