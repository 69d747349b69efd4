// Upload a recording, follow the jobs: see saiseld.serve.api.
const $ = id => document.getElementById(id);

async function ask(method, path, body) {
  const json = body && !(body instanceof Blob);
  const answer = await fetch(path, {
    method, body: json ? JSON.stringify(body) : body, headers: json ? { 'Content-Type': 'application/json' } : {},
  });
  if (answer.status === 401) location.reload();   // to the form that asks for the token
  const told = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
}

$('new').onsubmit = async event => {
  event.preventDefault();
  const recording = $('recording').files[0], video = $('video').files[0], button = event.submitter;
  button.disabled = true;
  let job;
  try {
    $('told').textContent = 'Uploading …';
    job = await ask('POST', 'jobs', { name: ($('title').value.trim() || recording.name).slice(0, 200) });
    await ask('PUT', `jobs/${job.id}/recording`, recording);
    if (video) await ask('PUT', `jobs/${job.id}/video`, video);
    await ask('POST', `jobs/${job.id}/start`);
    $('told').textContent = 'Uploaded.';
    $('new').reset();
  } catch (error) {
    if (job) await ask('DELETE', `jobs/${job.id}`).catch(() => {});
    $('told').textContent = error.message;
  }
  button.disabled = false;
  list();
};

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function row(job) {
  const name = job.state === 'done' ? make('a', { href: `jobs/${job.id}/results/index.html`, textContent: job.name }) : job.name;
  const bin = make('button', { textContent: 'Delete', ariaLabel: `Delete ${job.name}` });
  bin.onclick = () => confirmDeletion(job);
  const state = job.state === 'running' ? make('progress', { value: job.share, ariaLabel: 'done' }) : job.state;
  const told = [job.error?.message, ...job.warnings].filter(Boolean).map(text => make('small', { textContent: text }));
  return make('li', {}, make('span', {}, name, ' ', state), bin, ...told);
}

function confirmDeletion(job) {
  $('sure-of').textContent = `Delete “${job.name}”, its recording and all its results?`;
  $('yes').onclick = () => { $('sure').close(); ask('DELETE', `jobs/${job.id}`).then(list, list); };
  $('no').onclick = () => $('sure').close();
  $('sure').showModal();
}

let before = '';
async function list() {
  const jobs = await ask('GET', 'jobs').catch(() => null), now = JSON.stringify(jobs);
  if (!jobs || now === before) return;
  before = now;
  $('jobs').replaceChildren(...jobs.map(row));
}

ask('GET', 'health').then(answer => {
  $('most').textContent = `At most ${(answer.upload_bytes / 1e9).toFixed(1)} GB a file.`;
}).catch(() => {});
list();
setInterval(list, 1000);
