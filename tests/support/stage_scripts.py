"""JavaScript of the stage: its page's, and the worker as it is in browsers of other kinds.

``{worker}`` stands for the address of the built worker.
"""

from __future__ import annotations

#: Starts workers and keeps what they say; the tests drive it with page.evaluate.
STAGE = """
const assets = window.assets = JSON.parse(document.getElementById("assets").textContent);
window.told = [];
window.begin = (forceBackend, url = assets["worker.js"]) => {
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = ({ data }) => window.told.push({ at: performance.now(), ...data });
  worker.onerror = (event) => window.told.push({ kind: "error", message: event.message });
  worker.postMessage({ kind: "init", forceBackend, assets });
  window.worker = worker;
};
window.say = (message) => window.worker.postMessage(message);
window.heard = (kind) => window.told.filter((message) => message.kind === kind);
window.staged = true;
"""

#: The worker in a browser that refuses to keep files.
NO_STORAGE = """
import "/refuse-storage.js";
import "{worker}";
"""
REFUSE_STORAGE = """
const refusal = () => Promise.reject(new DOMException("no", "SecurityError"));
StorageManager.prototype.getDirectory = refusal;
"""

#: The worker with a count of what it keeps on the GPU and reads from there, in bytes, in a
#: browser that admits to 8 GiB of memory: half of it is the node's.
OBSERVED = """
import "/observe-gpu.js";
import "{worker}";
"""
OBSERVE_GPU = """
Object.defineProperty(WorkerNavigator.prototype, "deviceMemory", { get: () => 8 });
const gpu = self.gpu = { held: 0, buffers: 0, read: 0, device: null };
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...args) {
  return gpu.device = await requestDevice.apply(this, args);
};
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (description) {
  const buffer = createBuffer.call(this, description);
  gpu.held += buffer.size;
  gpu.buffers += 1;
  return buffer;
};
const gone = new WeakSet();
const { destroy, mapAsync } = GPUBuffer.prototype;
GPUBuffer.prototype.destroy = function () {
  if (!gone.has(this)) { gone.add(this); gpu.held -= this.size; gpu.buffers -= 1; }
  return destroy.call(this);
};
GPUBuffer.prototype.mapAsync = function (mode, offset = 0, size = this.size - offset) {
  if (mode === GPUMapMode.READ) gpu.read += size;
  return mapAsync.call(this, mode, offset, size);
};
"""
#: The worker in a browser that cannot suspend WebAssembly.
WITHOUT_JSPI = """
import "/remove-jspi.js";
import "{worker}";
"""

#: By file name without its ending.
SCRIPTS = {
    "stage": STAGE,
    "no-storage": NO_STORAGE,
    "refuse-storage": REFUSE_STORAGE,
    "observed": OBSERVED,
    "observe-gpu": OBSERVE_GPU,
    "without-jspi": WITHOUT_JSPI,
    "remove-jspi": "delete WebAssembly.Suspending;",
}
