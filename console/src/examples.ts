//! The pages that the broker serves to be opened and copied. One line here adds one to the console.

export const EXAMPLES = [
  { href: 'examples/chat.html', name: 'Chat over WebSocket', about: 'The browser’s own WebSocket, no library.' },
  { href: 'examples/chat-sse.html', name: 'Chat over Server-Sent Events', about: 'EventSource to listen, fetch to send.' },
  { href: 'examples/room.html', name: 'A room', about: 'Who is here, who is typing.' },
  { href: 'examples/notifications.html', name: 'Notifications', about: 'For one user, from where the browser last was.' },
  { href: 'examples/chart.html', name: 'A live chart', about: 'Fifty values a second, and none of them lost.' },
  { href: 'examples/board.html', name: 'A board', about: 'Everybody’s pointer, and lines to draw together.' },
];
