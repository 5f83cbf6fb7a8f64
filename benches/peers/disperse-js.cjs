// Runs the shapes of the benchmark on disperse.js: node disperse-js.cjs CHECKOUT TASKS ACTIONS WORKERS
//
// CHECKOUT is a built checkout of disperse.js (`npm install && npm run build` in it). Each task requests ACTIONS actions,
// one after another, each of which gets 64 bytes and returns them. Prints microseconds for each action.
'use strict';
const path = require('node:path');

const [checkout, ...numbers] = process.argv.slice(2);
const [tasks, actions, workers] = numbers.map(Number);
const { Operation, NamedWorker, taskProviderFromList } = require(path.resolve(checkout));

class Echo extends NamedWorker {
  constructor(id) {
    super(id);
    this.runAction = this.runAction.bind(this);
  }

  async runAction(action) {
    return action({ echo: async bytes => bytes });
  }
}

async function main() {
  let done = 0;
  const list = Array.from({ length: tasks }, () => async perform => {
    for (let i = 0; i < actions; i++) {
      const bytes = new Uint8Array(64);
      const answer = await perform(api => api.echo(bytes));
      if (answer.length === 64) done++;
    }
  });
  const operation = new Operation(taskProviderFromList(list));
  const began = process.hrtime.bigint();
  for (let i = 0; i < workers; i++) operation.registerWorker(new Echo(`w${i}`));
  await operation.waitUntilFinished();
  const us = Number(process.hrtime.bigint() - began) / 1e3;
  if (done !== tasks * actions) throw new Error(`${done} of ${tasks * actions} actions were answered`);
  console.log(us / done);
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
