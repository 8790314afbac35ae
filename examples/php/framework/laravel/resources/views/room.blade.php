<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="csrf-token" content="{{ csrf_token() }}">
  <title>A room</title>
</head>
<body>
<p id="status" role="status">Connecting …</p>
<ul id="messages" role="log"></ul>
<form id="form"><input name="text" required maxlength="500" aria-label="Message"> <button>Send</button></form>
<script src="{{ $broker }}/fanwire.js"></script>
<script>
  const byId = (id) => document.getElementById(id);
  const token = async () => {
    const answer = await fetch('/room/token');
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    return answer.text();
  };
  const broker = fanwire.connect(@json($broker), { token });
  broker.on('status', ({ state }) => { byId('status').textContent = state; });
  broker.subscribe('room.lobby', ({ data }) => {
    const item = document.createElement('li');
    item.textContent = `${data.name}: ${data.text}`;
    byId('messages').append(item);
  }, { last: 20 });
  byId('form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const headers = { 'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content, Accept: 'application/json' };
    const answer = await fetch('/room/say', { method: 'POST', headers, body: new FormData(event.target) });
    if (answer.ok) event.target.reset();
    else byId('status').textContent = await answer.text();
  });
</script>
</body>
</html>
