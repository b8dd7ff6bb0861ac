// The fetch wrapper: every request of this page names the version that the page came from, so that
// it stays on that version whatever other tabs do with the shared cookie.
const version = document.documentElement.dataset.version;
const show = (id, text) => { document.getElementById(id).textContent = text; };

async function pinnedFetch(resource, options = {}) {
  const headers = new Headers(options.headers);
  headers.set("x-deployment-id", version);
  const response = await fetch(resource, { ...options, headers });
  const newer = response.headers.has("x-lockstep-latest") || response.headers.has("x-lockstep-skew");
  document.getElementById("skew").hidden = !newer;
  return response;
}

async function callApi() {
  const response = await pinnedFetch("/api/version");
  show("api", (await response.json()).version);
}

show("script", "{{version}}");
document.getElementById("call").addEventListener("click", callApi);
callApi();

// An EventSource can't set headers: the query names the version instead.
new EventSource(`/events?dpl=${version}`).onmessage = (event) => {
  const tick = JSON.parse(event.data);
  show("clock", `${tick.version}, ${tick.time}`);
};
