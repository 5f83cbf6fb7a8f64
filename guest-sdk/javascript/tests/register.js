// Puts a stand-in for the host where the SDK imports the contract.
import { register } from "node:module";

register("./hooks.js", import.meta.url);
