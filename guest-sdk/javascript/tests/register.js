// Replaces the imports of the contract with a stand-in for the host.
import { register } from "node:module";

register("./hooks.js", import.meta.url);
