// Squares a number.
import { worker } from "disperse/worker";

export const handle = worker((n: number) => n * n);
