<?php

/** The room: its page, the token of the page, publishing a message, and the callouts of the broker. */

declare(strict_types=1);

namespace App\Controller;

use Fanwire\Broker;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\HookServer;
use Fanwire\TokenSigner;
use Psr\Log\LoggerInterface;
use Symfony\Bundle\FrameworkBundle\Controller\AbstractController;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Routing\Attribute\Route;

final class RoomController extends AbstractController
{
    #[Route('/room', methods: ['GET'])]
    public function show(): Response
    {
        $this->denyAccessUnlessGranted('IS_AUTHENTICATED');
        return $this->render('room.html.twig', ['broker' => $_ENV['BROKER_PUBLIC_URL'] ?? 'http://localhost:7400']);
    }

    #[Route('/room/token', methods: ['GET'])]
    public function token(TokenSigner $signer): Response
    {
        $this->denyAccessUnlessGranted('IS_AUTHENTICATED');
        $user = $this->getUser()->getUserIdentifier();
        $headers = ['Content-Type' => 'text/plain', 'Cache-Control' => 'no-store'];
        return new Response($signer->sign($user, info: ['name' => $user]), 200, $headers);
    }

    #[Route('/room/say', methods: ['POST'])]
    public function say(Request $request, Broker $broker, LoggerInterface $logger): Response
    {
        $this->denyAccessUnlessGranted('IS_AUTHENTICATED');
        if (!$this->isCsrfTokenValid('say', (string) $request->request->get('_token'))) {
            return new Response('Reload the page, please.', 422);
        }
        $text = trim((string) $request->request->get('text'));
        try {
            $broker->publish('room.lobby', ['name' => $this->getUser()->getUserIdentifier(), 'text' => $text]);
        } catch (Forbidden $error) {
            return new Response($error->getMessage(), 422);
        } catch (FanwireException $error) {
            $logger->error($error->getMessage(), ['advice' => $error->advice()]);
            return new Response('That did not work. Please try again.', 503);
        }
        return new Response('', 204);
    }

    #[Route('/hooks/fanwire', methods: ['POST'])]
    public function hooks(Request $request, HookServer $hooks): Response
    {
        $answer = $hooks->handle($request->getContent(), (string) $request->headers->get('Fanwire-Signature'));
        return new Response($answer->body, $answer->status, $answer->headers());
    }
}
