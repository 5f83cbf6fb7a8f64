// Counts the words of a line.
import { TEXT, worker } from "disperse/worker";

export const handle = worker((line: string) => line.split(/\s+/).filter(Boolean).length, { codec: TEXT });
