# Publishes a text to the topic. The response has the number of subscribers.
curl -d 'hello' -H 'Content-Type: text/plain' localhost:7400/topics/chat.lobby
