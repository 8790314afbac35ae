<?php

/**
 * The page: a room in which visitors talk. It subscribes to the room with a token of token.php, and sends messages to
 * say.php.
 */

declare(strict_types=1);

require __DIR__ . '/settings.php';

$name = visitor();
if ($_SERVER['REQUEST_METHOD'] === 'POST' && trim((string) ($_POST['name'] ?? '')) !== '') {
    session_regenerate_id(true);
    $_SESSION['name'] = $name = (string) iconv_substr(trim((string) $_POST['name']), 0, 40, 'UTF-8');
}
$url = broker_for_browsers();
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A room</title>
  <link rel="icon" href="data:,">
  <style>
    body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
    #messages { list-style: none; padding: 0; min-height: 8rem; }
    input { font: inherit; padding: .3rem .5rem; }
    button { font: inherit; padding: .3rem .8rem; }
    #status, #members { color: #555; }
  </style>
</head>
<body>
<h1>A room</h1>
<?php if ($name === null) : ?>
<form method="post">
  <label>Your name <input name="name" required maxlength="40" autofocus></label>
  <button>Enter</button>
</form>
<?php else : ?>
<p id="status" role="status">Connecting …</p>
<p id="members"></p>
<ul id="messages" role="log" aria-label="Messages"></ul>
<form id="form">
  <label><?= htmlspecialchars($name) ?> says <input name="text" required maxlength="500" autocomplete="off" autofocus></label>
  <button>Send</button>
</form>
<script src="<?= htmlspecialchars($url) ?>/fanwire.js"></script>
<script>
  const byId = (id) => document.getElementById(id);
  const token = async () => {
    const answer = await fetch('token.php');
    if (!answer.ok) throw new Error(await answer.text());
    return answer.text();
  };
  const broker = fanwire.connect(<?= json_encode($url, JSON_HEX_TAG) ?>, { token });

  broker.on('status', ({ state, error }) => { byId('status').textContent = error ? `${state}: ${error.message}` : state; });

  const room = broker.subscribe('room.lobby', ({ data }) => {
    const item = document.createElement('li');
    item.textContent = `${data.name}: ${data.text}`;
    byId('messages').append(item);
  }, { last: 20 });

  const names = new Set();
  const change = (how) => (member) => { names[how](member.user); byId('members').textContent = `Here: ${[...names].join(', ')}`; };
  room.on('join', change('add'));
  room.on('leave', change('delete'));
  room.on('ended', ({ message }) => { byId('status').textContent = message; });
  room.on('joined', async () => {
    names.clear();
    (await broker.presence('room.lobby')).forEach(change('add'));
  });

  byId('form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const answer = await fetch('say.php', { method: 'POST', body: new FormData(event.target) });
    if (answer.ok) event.target.reset();
    else byId('status').textContent = await answer.text();
  });
</script>
<?php endif; ?>
</body>
</html>
